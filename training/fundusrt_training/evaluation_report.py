"""What an evaluation leaves: `per_image.csv`, `summary.json` and a table on the screen, whatever the system."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fundusrt.atomic import atomic_write, write_json
from fundusrt.errors import OutputError
from fundusrt_training.bootstrap import RESAMPLES
from fundusrt_training.checkpoints import installed_versions
from fundusrt_training.evaluate import Row

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["make_report_folder", "report_table", "write_report"]


def make_report_folder(out: Path) -> None:
    """Make the folder before anything is scored for it. Raises OutputError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            out, got=error.strerror or str(error), expected="a folder that can be made", fix="choose another folder"
        ) from error


def write_report(rows: Sequence[Row], data: Path, out: Path) -> None:
    """Write `out/per_image.csv` and `out/summary.json`.

    Raises:
        OutputError: the folder cannot be written.
    """
    make_report_folder(out)
    evaluator = rows[0].candidate.evaluator
    with atomic_write(out / "per_image.csv") as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream)
        columns = evaluator.columns(next(iter(rows[0].scores.values())))
        writer.writerow(["name", "mode", "image", *columns])
        for row in rows:
            for image, each in row.scores.items():
                writer.writerow([row.name, row.mode, image, *evaluator.columns(each).values()])
    summary = {
        "data": str(data),
        "versions": installed_versions(),
        "bootstrap_resamples": RESAMPLES,
        "rows": [
            {
                "name": row.name,
                "mode": row.mode,
                "checkpoint": str(row.candidate.path),
                "sha256": hashlib.sha256(row.candidate.path.read_bytes()).hexdigest(),
                **evaluator.facts(row.candidate.config),
                **row.summary(),
                f"{evaluator.metrics[0].name}_minus_first": row.minus(rows[0]),
            }
            for row in rows
        ],
    }
    write_json(out / "summary.json", summary)


def report_table(rows: Sequence[Row]) -> Table:
    """Return the comparison: every metric, the 95 % interval of the first, and the counts."""
    from rich import box
    from rich.table import Table

    evaluator = rows[0].candidate.evaluator
    images = len(rows[0].scores)
    title = f"means over {images} images" if evaluator.combined == "mean" else f"all pixels of {images} images pooled"
    table = Table(title="; ".join(filter(None, (title, evaluator.note))), box=box.SIMPLE)
    table.add_column("checkpoint", overflow="fold", min_width=12)
    first, *others = evaluator.metrics
    counts = evaluator.counts(list(rows[0].scores.values()))
    for heading in (first.heading, "95 % interval", *(metric.heading for metric in others), *counts):
        table.add_column(heading.replace("_", " "), justify="right", no_wrap=True)
    for row in rows:
        low, high = row.summary()["interval_95"][first.name]
        figures = [f"{row.figures[metric.name]:.{metric.digits}f}" for metric in evaluator.metrics]
        interval = f"{low:.{first.digits}f}-{high:.{first.digits}f}"
        counted = map(str, evaluator.counts(list(row.scores.values())).values())
        table.add_row(row.name, figures[0], interval, *figures[1:], *counted)
    return table
