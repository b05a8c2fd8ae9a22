"""A table's result as `table.json`, `table.csv`, `table.md` and on the screen."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fundusrt.atomic import write_bytes, write_json
from fundusrt_training.tables.result import ResultRow, TableResult

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["screen_tables", "write_table"]


def write_table(result: TableResult, out: Path) -> None:
    """Write the three files. Raises OutputError where the folder cannot be written."""
    write_json(out / "table.json", _json(result))
    write_bytes(out / "table.csv", _csv(result).encode())
    write_bytes(out / "table.md", _markdown(result).encode())


def screen_tables(result: TableResult) -> list[Table]:
    """Return one table for each part of the data."""
    from rich import box
    from rich.table import Table

    tables: list[Table] = []
    for part, rows in _by_part(result).items():
        table = Table(title=f"{result.table.name}, {part}", box=box.SIMPLE)
        for index, heading in enumerate(_headings(result, rows[0])):
            text = index == 0 or heading == "runs"
            table.add_column(heading, justify="left" if text else "right", overflow="fold", no_wrap=not text)
        for row in rows:
            table.add_row(*_cells(result, row))
        tables.append(table)
    return tables


def _by_part(result: TableResult) -> dict[str, list[ResultRow]]:
    parts: dict[str, list[ResultRow]] = {}
    for row in result.rows:
        parts.setdefault(f"{row.part.name} images of {row.part.data.name}", []).append(row)
    return parts


def _headings(result: TableResult, row: ResultRow) -> list[str]:
    paper = f"paper ({row.part.paper})" if row.part.paper else "paper"
    ours = [metric.heading for metric in result.metrics]
    return ["", *ours, *(f"{paper} {heading}" for heading in ours), "runs"]


def _cells(result: TableResult, row: ResultRow) -> list[str]:
    ours, printed = ([of(metric) for metric in result.metrics] for of in (row.ours, row.printed))
    return [row.row.title, *ours, *printed, row.state]


def _json(result: TableResult) -> dict[str, Any]:
    table = result.table
    return {
        "table": table.name,
        "system": table.system,
        "title": table.title,
        "source": table.source,
        "note": table.note,
        **result.facts,
        "rows": [
            {
                "row": row.row.key,
                "title": row.row.title,
                "part": row.part.name,
                "state": row.state,
                "runs": row.found,
                "mean": {metric: row.mean(metric) for metric in table.metrics},
                "std": {metric: row.spread(metric) for metric in table.metrics},
                "paper_set": row.part.paper,
                "paper": {data: dict(figures) for data, figures in row.row.paper.items()},
            }
            for row in result.rows
        ],
    }


def _csv(result: TableResult) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    metrics = result.table.metrics
    columns = [f"{metric}_{what}" for metric in metrics for what in ("mean", "std", "paper")]
    writer.writerow(["row", "title", "part", "runs", "state", *columns])
    for row in result.rows:
        printed = row.row.paper.get(row.part.paper or "", {})
        values = [value for metric in metrics for value in (row.mean(metric), row.spread(metric), printed.get(metric))]
        shown = ["" if value is None else repr(value) for value in values]
        writer.writerow([row.row.key, row.row.title, row.part.name, len(row.found), row.state, *shown])
    return stream.getvalue()


def _markdown(result: TableResult) -> str:
    table = result.table
    lines = [f"# {table.name}: {table.title}", "", f"{table.source}. {table.note}".rstrip(), ""]
    for part, rows in _by_part(result).items():
        headings = _headings(result, rows[0])
        lines += [f"## On {part}", "", "| " + " | ".join(headings) + " |"]
        lines.append("|" + "|".join("---" if h in ("", "runs") else "---:" for h in headings) + "|")
        lines += ["| " + " | ".join(_cells(result, row)) + " |" for row in rows]
        lines.append("")
    lines.append("Mean ± standard deviation over runs. lost: missing in the copies of the paper; -: not printed.")
    return "\n".join(lines) + "\n"
