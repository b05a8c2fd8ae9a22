"""What the run asks of a fresh process, and what that answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from fundusrt.bench.report import Check, ColdStart, Reading, Runtime, Sample, Scenario, Scope, Snapshot

__all__ = ["WorkerAnswer", "WorkerRequest"]


class WorkerRequest(BaseModel):
    """One process's work.

    Attributes:
        model: shipped name, bundle folder or `.frt` file.
        options: of `fundusrt.load`.
        images: files.
        scopes: what is timed.
        scenarios: how.
        rounds: how many; None for as many as `seconds` allow.
        seconds: see `rounds`.
        warm_up: rounds that are not kept.
        workers: threads of the scenario `offline`.
        process: number of the process.
        check_reference: whether to compare with the reference too.
        folder: takes the results that are written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    options: dict[str, Any]
    images: tuple[str, ...]
    scopes: tuple[Scope, ...]
    scenarios: tuple[Scenario, ...]
    rounds: int | None
    seconds: float
    warm_up: int
    workers: int
    process: int
    check_reference: bool
    folder: str


class WorkerAnswer(BaseModel):
    """What a process found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: Runtime
    cold_start: ColdStart
    rounds: int
    samples: tuple[Sample, ...]
    checks: tuple[Check, ...]
    snapshots: tuple[Snapshot, ...]
    peak_memory_mib: Reading
