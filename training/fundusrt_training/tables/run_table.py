"""Trains and scores what a table still lacks; may be stopped at any time and called again."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fundusrt_training import trainer
from fundusrt_training.errors import TrainingDiverged
from fundusrt_training.hardware import Hardware
from fundusrt_training.tables.paper_table import PaperRow
from fundusrt_training.tables.plan import Part, PlannedRun, TablePlan
from fundusrt_training.tables.result import TableResult, collect, score_request
from fundusrt_training.tables.scores import read_scores, write_scores

__all__ = ["TableOptions", "run_table"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableOptions:
    """How a table is carried out; none of it changes what a run is.

    Args:
        parts: images that are scored.
        facts: what the figures depend on, for the record.
        limit: only the first images of each part.
        minutes: wall time after which training pauses, or None.
        cache: where pre-processed images are kept.
        device: where networks run for scoring.
        hardware: where runs are trained.
        progress: show bars.
    """

    parts: Sequence[Part]
    facts: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    minutes: float | None = None
    cache: Path | None = None
    device: str = "cpu"
    hardware: Hardware = field(default_factory=Hardware)
    progress: bool = False


def run_table(
    plan: TablePlan,
    rows: Sequence[PaperRow],
    options: TableOptions,
    *,
    after_each: Callable[[TableResult], None],
) -> TableResult:
    """Train and score rows of a table and return all of it.

    Args:
        plan: the table's runs.
        rows: which are wanted.
        options: how.
        after_each: called with the result so far after every run.

    Raises:
        FundusRTError: data or folders that cannot be used. A run that diverges is reported and left out.
    """
    diverged: dict[str, str] = {}
    deadline = None if options.minutes is None else time.monotonic() + 60 * options.minutes

    def so_far() -> TableResult:
        return collect(plan, options.parts, options.facts, limit=options.limit, diverged=diverged)

    for run in plan.runs_of(rows):
        name = f"{run.row.key}/{run.repeat.name}"
        left = None if deadline is None else (deadline - time.monotonic()) / 60
        if run.state() != "complete":
            if left is not None and left <= 0:
                logger.info("no time left for %s", name)
                continue
            logger.info("%s: %s", name, run.describe())
            try:
                _train(run, options, left)
            except TrainingDiverged as error:
                logger.warning("%s diverged: %s", name, error)
                diverged[name] = str(error)
                continue
            if run.state() != "complete":
                logger.info("%s stopped early; call again to go on", name)
                if deadline is None or time.monotonic() < deadline:
                    break  # somebody stopped it: nothing else is begun
                continue
        _score(plan, run, rows, options)
        after_each(so_far())
    result = so_far()
    after_each(result)
    return result


def _train(run: PlannedRun, options: TableOptions, minutes: float | None) -> None:
    how = {
        "cache": options.cache,
        "limits": trainer.Limits(minutes=minutes),
        "hardware": options.hardware,
        "progress": options.progress,
    }
    if run.state() == "cut off":
        trainer.resume(run.folder, data=run.data, **how)
        return
    if run.state() == "begun":
        shutil.rmtree(run.folder)  # a run without a checkpoint: nothing is lost
    trainer.train(run.config, run.data, run.folder, **how)


def _score(plan: TablePlan, run: PlannedRun, rows: Sequence[PaperRow], options: TableOptions) -> None:
    for row in rows:
        if row.not_built is not None or plan.run_of(row, run.repeat).folder != run.folder:
            continue
        for part in options.parts:
            request = score_request(plan, row, run.repeat, part, options.limit)
            if read_scores(request) is None:
                logger.info("scoring %s/%s on %s", row.key, run.repeat.name, part.name)
                write_scores(request, cache=options.cache, device=options.device)
