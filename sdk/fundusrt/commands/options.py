"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["backend_options", "json_option"]

Command = TypeVar("Command", bound=Callable[..., Any])


class _ThreadCount(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  # not generic before click 8.4
    """A number from 1 to 1024, or `tuned`."""

    name = "count or tuned"
    _count = click.IntRange(min=1, max=1024)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        return value if value == "tuned" else self._count.convert(value, param, ctx)


def backend_options(command: Command) -> Command:
    """Add `--backend`, `--device`, `--precision` and `--threads`."""
    for option in (
        click.option(
            "--threads",
            type=_ThreadCount(),
            default=None,
            help="Threads of one network call, or `tuned` for what `fundusrt tune` chose.",
        ),
        click.option("--precision", default="fp32", show_default=True, help="Numeric precision of the networks."),
        click.option("--device", default="cpu", show_default=True, help="Device to run on; nothing else is tried."),
        click.option("--backend", default="onnxruntime", show_default=True, help="Runtime; nothing else is tried."),
    ):
        command = option(command)
    return command


def json_option(command: Command) -> Command:
    """Add `--json`, which turns the report, or the error, into one JSON document on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")(command)
