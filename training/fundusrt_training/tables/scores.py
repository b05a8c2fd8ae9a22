"""A run's scores on disk: the report of `fundusrt evaluate` and what it was asked for, so that it is not made twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fundusrt.atomic import write_json
from fundusrt_training.data.working_image import file_sha256
from fundusrt_training.evaluate import evaluate, open_candidate
from fundusrt_training.evaluation_report import write_report
from fundusrt_training.systems.registry import evaluator_type
from fundusrt_training.tables.plan import Part, PlannedRun

__all__ = ["ScoreRequest", "read_scores", "write_scores"]


@dataclass(frozen=True)
class ScoreRequest:
    """What is scored, and where the report goes.

    Attributes:
        system: of the run.
        run: whose weights.
        part: on which images.
        folder: of the report.
        after: settings applied after training.
        mode: what is scored, or None for what was trained.
        limit: only the first images by name, or None for all.
    """

    system: str
    run: PlannedRun
    part: Part
    folder: Path
    after: tuple[str, ...] = ()
    mode: str | None = None
    limit: int | None = None

    def facts(self) -> dict[str, Any]:
        """Return all that the scores depend on, as JSON data."""
        return {
            "checkpoint_sha256": file_sha256(self.run.checkpoint),
            "data": str(self.part.data.resolve()),
            "files_sha256": _listing_sha256(self.part.data),
            "held_out": self.part.held_out,
            "after": list(self.after),
            "mode": self.mode,
            "limit": self.limit,
        }


def read_scores(request: ScoreRequest) -> dict[str, float] | None:
    """Return every metric, or None where the run is not complete or was not scored as it would be now."""
    asked = request.folder / "request.json"
    if not asked.is_file() or request.run.state() != "complete":
        return None
    if json.loads(asked.read_text()) != request.facts():
        return None
    (row,) = json.loads((request.folder / "summary.json").read_text())["rows"]
    return dict(row[evaluator_type(request.system).combined])


def write_scores(request: ScoreRequest, *, cache: Path | None, device: str) -> None:
    """Score a complete run and write its report.

    Raises:
        FundusRTError: data that cannot be used, or a folder that cannot be written.
    """
    name = f"{request.run.row.key}/{request.run.repeat.name}={request.run.checkpoint}"
    candidate = open_candidate(name, () if request.mode is None else (request.mode,), request.after)
    rows = evaluate(
        [candidate],
        request.part.data,
        cache=cache,
        limit=request.limit,
        held_out=request.part.held_out,
        device=device,
    )
    write_report(rows, request.part.data, request.folder)
    # Last: its presence says that the report beside it is whole.
    write_json(request.folder / "request.json", request.facts())


def _listing_sha256(folder: Path) -> str:
    """Return one hash over names, sizes and times of all files below a folder: what changes when an image does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listing = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
