"""`fundusrt build` as a test calls it, whether or not the installed copy registers it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from fundusrt import cli
from fundusrt_export.engines.cli import build


def invoke_build(*arguments: object, cache: Path | None = None) -> Result:
    """Run the command inside the command line, so that errors and exit codes are those of a terminal."""
    group = cli._Commands("fundusrt", commands={})
    group.get_command = lambda ctx, cmd_name: build
    folder = ["--cache", str(cache)] if cache is not None else []
    runner = CliRunner(env={"COLUMNS": "200"}, catch_exceptions=False)
    return runner.invoke(group, ["build", *(str(argument) for argument in arguments), *folder])
