"""`fundusrt table`: a table of a paper, run and printed beside the paper's figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fundusrt.errors import UsageError
from fundusrt_training.cli import FILE, FOLDER, read_json, start
from fundusrt_training.tables.paper_table import PaperRow, PaperTable
from fundusrt_training.tables.registry import TABLES

if TYPE_CHECKING:
    from fundusrt_training.tables.plan import Part, TablePlan

__all__ = ["table_command"]

FOLDS = 5


@click.command("table")
@click.argument("name", type=click.Choice(sorted(TABLES)))
@click.option("--data", required=True, type=FOLDER, help="Folder that is trained on.")
@click.option("--test", type=FOLDER, help="Folder that is scored (needed unless --folds).")
@click.option(
    "-o", "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The table's folder."
)
@click.option("--config", "config_file", type=FILE, help="Configuration of every row as JSON.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="One setting of every row.")
@click.option("--rows", "keys", multiple=True, metavar="ROW", help="Only these rows; others are shown as found.")
@click.option("--seeds", type=click.IntRange(min=1), help="Runs of each row, with seeds 0, 1, ... (default 1).")
@click.option("--folds", is_flag=True, help=f"{FOLDS}-fold cross-validation of --data; scores what each fold held out.")
@click.option("--paper", "paper_set", help="The paper's data set whose figures stand beside (default: its first).")
@click.option("--dry-run", is_flag=True, help="List what would be done, and stop.")
@click.option("--limit", type=click.IntRange(min=1), help="Score only the first images by name.")
@click.option("--max-minutes", type=click.FloatRange(min=0, min_open=True), help="Pause after this many minutes.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder of pre-processed images.")
@click.option("--device", default="cpu", show_default=True, help="Where networks run for scoring, such as cuda.")
@click.option("--accelerator", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, help="GPUs that share each step.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--progress/--no-progress", default=True, help="Progress bars.")
def table_command(
    name: str,
    data: Path,
    test: Path | None,
    out: Path,
    config_file: Path | None,
    settings: tuple[str, ...],
    keys: tuple[str, ...],
    seeds: int | None,
    folds: bool,
    paper_set: str | None,
    dry_run: bool,
    limit: int | None,
    max_minutes: float | None,
    cache: Path | None,
    device: str,
    accelerator: str,
    devices: int,
    threads: int | None,
    progress: bool,
) -> None:
    """Run the paper's table NAME and print it beside the paper's figures.

    Call it again to go on: complete runs are not trained again, and one that was cut off goes on where it was.
    """
    table = TABLES[name]
    rows = _chosen(table, keys)
    _refuse_decided(table, settings, folds)
    if folds and seeds is not None:
        raise UsageError("--folds", got=f"--seeds {seeds}", expected="one of them", fix="leave one out")
    start(threads)
    from rich.console import Console

    from fundusrt_training.checkpoints import installed_versions
    from fundusrt_training.configuration import apply_settings
    from fundusrt_training.evaluation_report import make_report_folder
    from fundusrt_training.hardware import Hardware
    from fundusrt_training.systems.registry import config_type
    from fundusrt_training.tables.files import screen_tables, write_table
    from fundusrt_training.tables.plan import TablePlan, folds_of, seeds_of
    from fundusrt_training.tables.run_table import TableOptions, run_table

    base = apply_settings(config_type(table.system).from_dict(read_json(config_file)), list(settings))
    repeats = folds_of(FOLDS) if folds else seeds_of(seeds or 1)
    parts = _parts(table, data, test, folds, paper_set)
    plan = TablePlan(table, base, repeats, data, out)
    if dry_run:
        _list(plan, rows)
        return
    facts = {
        "data": str(data.resolve()),
        "test": None if test is None else str(test.resolve()),
        "repeats": [repeat.name for repeat in repeats],
        "limit": limit,
        "configuration": base.to_dict(),
        "versions": installed_versions(),
    }
    make_report_folder(out)
    hardware = Hardware(accelerator, devices)
    options = TableOptions(parts, facts, limit, max_minutes, cache, device, hardware, progress)
    result = run_table(plan, rows, options, after_each=lambda found: write_table(found, out))
    console = Console()
    console.width = max(console.width, 140)  # a table folded to 80 columns loses its headings
    for shown in screen_tables(result):
        console.print(shown)
    click.echo(f"{out}: table.json, table.csv, table.md")


def _chosen(table: PaperTable, keys: tuple[str, ...]) -> list[PaperRow]:
    rows = [table.row(key) for key in keys] or list(table.rows)
    for row in rows:
        if keys and row.not_built is not None:
            raise UsageError(f"--rows {row.key}", got=f"not built: {row.not_built}", expected="a row that can be run")
    return rows


def _refuse_decided(table: PaperTable, settings: tuple[str, ...], folds: bool) -> None:
    decided = table.decided | {"split.fold"} | ({"split.folds"} if folds else {"run.seed"})
    for setting in settings:
        name = setting.partition("=")[0]
        if name in decided:
            raise UsageError(
                f"--set {setting}",
                got="a setting that the table itself decides",
                expected=f"any but {', '.join(sorted(decided))}",
                fix="leave it out",
            )


def _parts(table: PaperTable, data: Path, test: Path | None, folds: bool, paper_set: str | None) -> list[Part]:
    from fundusrt_training.tables.plan import Part

    if paper_set is not None and paper_set not in table.sets:
        raise UsageError(f"--paper {paper_set}", got=f"no data set of {table.name}", expected=", ".join(table.sets))
    first = paper_set or table.sets[0]
    if not folds:
        if test is None:
            raise UsageError("--test", got="nothing", expected="a folder to score", fix="give one, or --folds")
        return [Part("test", test, first)]
    held_out = [Part("held-out", data, first)]
    return held_out if test is None else [*held_out, Part("test", test, table.external)]


def _list(plan: TablePlan, rows: list[PaperRow]) -> None:
    for row in rows:
        if row.not_built is not None:
            click.echo(f"{row.key}: not built: {row.not_built}")
        elif row.run is not None:
            click.echo(f"{row.key}: scores the runs of {row.run} {' '.join(row.after)}{row.mode or ''}")
    for run in plan.runs_of(rows):
        verb = {"complete": "score", "cut off": "go on, then score"}.get(run.state(), "train, then score")
        click.echo(f"{run.row.key}/{run.repeat.name}: {verb} ({run.describe()}) {' '.join(run.row.settings)}".rstrip())
