"""`fundusrt tune`: the threads and the batch that suit a bundle on this machine."""

from __future__ import annotations

import json
import statistics
import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fundusrt.commands.demo import sample_path
from fundusrt.commands.options import json_option

if TYPE_CHECKING:
    from fundusrt.tuning.record import TuningRecord

__all__ = ["tune"]


@click.command()
@click.argument("bundle", default="leakage")
@click.option(
    "--backend", "backends", multiple=True, help="Runtime; may be repeated.  [default: all that run on the CPU]"
)
@click.option("--precision", default="fp32", show_default=True, help="Numeric precision of the networks.")
@click.option("--rounds", type=click.IntRange(min=2, max=1000), default=5, show_default=True)
@json_option
def tune(bundle: str, backends: tuple[str, ...], precision: str, rounds: int, as_json: bool) -> None:
    """Measure threads x batch x backend for a bundle on this machine, and store the choice.

    It is used where it is asked for: `--threads tuned`, or `fundusrt.load(..., threads="tuned")`.
    """
    from fundusrt.tuning.record import write_record
    from fundusrt.tuning.search import tune as measured

    messages = Console(stderr=True)
    columns = (TextColumn("settings"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("settings", total=None)

        def show(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)

        record = measured(bundle, sample_path(), backends=backends, precision=precision, rounds=rounds, progress=show)
    path = write_record(record)
    if as_json:
        click.echo(json.dumps({"file": str(path), **record.model_dump(mode="json")}, indent=2))
        return
    console = Console()
    console.print(_table(record))
    for setting, reason in record.left_out.items():
        console.print(f"left out  {escape(setting)}: {escape(reason)}", highlight=False, soft_wrap=True)
    for choice in record.choices:
        gain = "the default setting" if choice.ratio == 1.0 else f"{1 / choice.ratio:.2f} times as fast as the default"
        what = f"{choice.threads or 'default'} threads, batch {choice.batch or 1}: {gain}"
        console.print(f"chosen    {choice.backend}: {what}", highlight=False, soft_wrap=True)
    console.print(f"stored    {escape(str(path))}", soft_wrap=True)
    console.print(f"use it    --backend {record.choices[0].backend} --threads tuned", highlight=False)


def _table(record: TuningRecord) -> Table:
    height, width = record.image_px
    title = f"{escape(record.bundle)}, {record.precision}, {height} x {width} px"
    table = Table("backend", title=title, title_justify="left")
    for heading in ("threads", "batch", "median ms", "least", "most"):
        table.add_column(heading, justify="right")
    for trial in record.trials:
        times = trial.rounds_ms
        figures = (statistics.median(times), min(times), max(times))
        threads, batch = str(trial.threads or "default"), str(trial.batch or 1)
        table.add_row(trial.backend, threads, batch, *(f"{ms:.1f}" for ms in figures))
    return table
