"""The command line as a test calls it, and the names of the files it writes."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from fundusrt import cli


def invoke(*arguments: object) -> Result:
    """Run the command line; an exception that is no FundusRTError would come out here."""
    runner = CliRunner(env={"COLUMNS": "250"}, catch_exceptions=False)
    return runner.invoke(cli.main, [str(argument) for argument in arguments])


def result_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def expected_names(*stems: str) -> list[str]:
    endings = ("mask.png", "overlay.png", "probability.png", "result.json")
    return sorted(f"{stem}_{ending}" for stem in stems for ending in endings)
