"""How the command `bench` prints its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from fundusrt.bench.report import BenchReport, Quantile

if TYPE_CHECKING:
    from fundusrt.bench.comparison import Comparison

__all__ = ["comparison_table", "latency_table", "stage_table"]


def latency_table(report: BenchReport) -> Table:
    """Return milliseconds by scope and scenario, with 95 % intervals where the samples bear one."""
    names = [quantile.name for quantile in report.latency[0].quantiles]
    table = Table("scope", "scenario", "calls", title="ms a call (95 % interval)", title_justify="left")
    for heading in (*names, "images/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in report.latency:
        cells = (_with_interval(quantile) for quantile in each.quantiles)
        table.add_row(each.scope, each.scenario, str(each.samples), *cells, f"{each.images_per_second:.2f}")
    return table


def stage_table(report: BenchReport) -> Table:
    """Return milliseconds and share of every stage; of one that has no time, why."""
    table = Table("stage", title="stages, single stream, ms", title_justify="left")
    for heading in ("p50", "p90", "p95", "p99", "max", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in report.stages:
        if each.quantiles is None or each.share is None:
            table.add_row(each.stage, escape(each.reason or ""))
            continue
        table.add_row(each.stage, *(f"{quantile.ms:.2f}" for quantile in each.quantiles), f"{100 * each.share:.1f} %")
    return table


def comparison_table(comparison: Comparison, a: str, b: str) -> Table:
    """Return the ratio of B's time to A's by scope and scenario."""
    title = f"time of {escape(b)} over {escape(a)}"
    table = Table("scope", "scenario", title=title, title_justify="left")
    for heading in ("ratio", "95 % interval", "floor", "verdict"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in comparison.rows:
        interval = f"{row.low:.3f} to {row.high:.3f}"
        table.add_row(row.scope, row.scenario, f"{row.ratio:.3f}", interval, f"{100 * row.floor:.0f} %", row.verdict)
    return table


def _with_interval(quantile: Quantile) -> str:
    if quantile.low_ms is None or quantile.high_ms is None:
        return f"{quantile.ms:.1f}"
    return f"{quantile.ms:.1f} ({quantile.low_ms:.1f} to {quantile.high_ms:.1f})"
