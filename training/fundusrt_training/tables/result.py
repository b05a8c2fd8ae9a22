"""A table's figures as far as there are any: mean and spread over runs beside what the paper printed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fundusrt.errors import UsageError
from fundusrt_training.systems.evaluator import Metric
from fundusrt_training.systems.registry import evaluator_type
from fundusrt_training.tables.paper_table import PaperRow, PaperTable
from fundusrt_training.tables.plan import Part, TablePlan
from fundusrt_training.tables.scores import ScoreRequest, read_scores

__all__ = ["ResultRow", "TableResult", "collect", "score_request"]

LOST = "lost"
NOT_PRINTED = "-"


@dataclass(frozen=True)
class ResultRow:
    """One row on one part of the data.

    Attributes:
        row: of the paper's table.
        part: the images.
        found: every metric of each scored run, by the run's name.
        state: why there is nothing, or what is missing; the number of runs where all are there.
    """

    row: PaperRow
    part: Part
    found: dict[str, dict[str, float]]
    state: str

    def mean(self, metric: str) -> float | None:
        """Return the mean over runs, None without any."""
        values = [each[metric] for each in self.found.values()]
        return statistics.fmean(values) if values else None

    def spread(self, metric: str) -> float | None:
        """Return the standard deviation over runs (n - 1), None for fewer than two."""
        values = [each[metric] for each in self.found.values()]
        return statistics.stdev(values) if len(values) > 1 else None

    def ours(self, metric: Metric) -> str:
        """Return mean and spread in words; nothing where nothing was run."""
        mean, spread = self.mean(metric.name), self.spread(metric.name)
        if mean is None:
            return ""
        shown = f"{mean:.{metric.digits}f}"
        return shown if spread is None else f"{shown} ± {spread:.{metric.digits}f}"

    def printed(self, metric: Metric) -> str:
        """Return the paper's figure in words."""
        printed = self.row.paper.get(self.part.paper or "", {})
        if metric.name not in printed:
            return NOT_PRINTED
        figure = printed[metric.name]
        return LOST if figure is None else f"{figure:.{metric.digits}f}"


@dataclass(frozen=True)
class TableResult:
    """A table with what was found.

    Attributes:
        table: the paper's.
        rows: by part, then in the paper's order.
        facts: what the figures depend on: data, settings, versions.
    """

    table: PaperTable
    rows: list[ResultRow]
    facts: dict[str, Any]

    @property
    def metrics(self) -> list[Metric]:
        """The printed metrics, as the system's evaluator shows them."""
        known = {metric.name: metric for metric in evaluator_type(self.table.system).metrics}
        return [known[name] for name in self.table.metrics]


def score_request(plan: TablePlan, row: PaperRow, repeat: Any, part: Part, limit: int | None) -> ScoreRequest:
    """Return what is to be scored for one run of a row on one part."""
    folder = plan.scores_folder(row, repeat, part)
    return ScoreRequest(plan.table.system, plan.run_of(row, repeat), part, folder, row.after, row.mode, limit)


def collect(
    plan: TablePlan,
    parts: Sequence[Part],
    facts: dict[str, Any],
    *,
    limit: int | None = None,
    diverged: dict[str, str] | None = None,
) -> TableResult:
    """Return everything that is on disk; what is not there is said, never filled in.

    Args:
        plan: the table's runs.
        parts: the images.
        facts: for the record.
        limit: images scored of each part.
        diverged: runs that could not be trained, `ROW/REPEAT`, and why.
    """
    rows = [_row(plan, row, part, limit, diverged or {}) for part in parts for row in plan.table.rows]
    return TableResult(plan.table, rows, facts)


def _row(plan: TablePlan, row: PaperRow, part: Part, limit: int | None, diverged: dict[str, str]) -> ResultRow:
    if row.not_built is not None:
        return ResultRow(row, part, {}, f"not built: {row.not_built}")
    try:
        plan.run_of(row, plan.repeats[0])
    except UsageError as error:  # of a row that was not asked for; one that was is refused before anything runs
        return ResultRow(row, part, {}, f"not run; needs other settings: {error}")
    found: dict[str, dict[str, float]] = {}
    missing: list[str] = []
    for repeat in plan.repeats:
        scores = read_scores(score_request(plan, row, repeat, part, limit))
        run = plan.run_of(row, repeat)
        if scores is not None:
            found[repeat.name] = scores
        elif f"{run.row.key}/{repeat.name}" in diverged:
            missing.append("diverged")
        else:
            state = run.describe()
            missing.append("not scored" if state == "complete" else state)
    count = len(plan.repeats)
    if not missing:
        return ResultRow(row, part, found, "1 run" if count == 1 else f"{count} runs")
    reasons = ", ".join(dict.fromkeys(missing))
    return ResultRow(row, part, found, f"{len(found)} of {count} runs; {reasons}" if found else reasons)
