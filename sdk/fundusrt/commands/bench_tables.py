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
    """Return milliseconds by scope and scenario; quantiles that the samples do not bear are faint."""
    caption = "faint: too few samples for an interval; every interval is in the report"
    table = Table("scope", "scenario", title="milliseconds a call", title_justify="left", caption=caption)
    names = [quantile.name for quantile in report.latency[0].quantiles]
    for heading in ("calls", names[0], "95 % interval", *names[1:], "images/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in report.latency:
        median, *others = each.quantiles
        interval = "" if median.low_ms is None else f"{median.low_ms:.1f} to {median.high_ms:.1f}"
        cells = (_faint_without_interval(quantile) for quantile in others)
        scenario, speed = each.scenario.removesuffix("_stream"), f"{each.images_per_second:.2f}"
        table.add_row(each.scope, scenario, str(each.samples), f"{median.ms:.1f}", interval, *cells, speed)
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
        scenario = row.scenario.removesuffix("_stream")
        table.add_row(row.scope, scenario, f"{row.ratio:.3f}", interval, f"{100 * row.floor:.0f} %", row.verdict)
    return table


def _faint_without_interval(quantile: Quantile) -> str:
    return f"{quantile.ms:.1f}" if quantile.low_ms is not None else f"[dim]{quantile.ms:.1f}[/dim]"
