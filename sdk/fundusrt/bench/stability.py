"""Was the machine quiet while it was measured? Said with the figures, since they cannot be better than it was."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from fundusrt.bench.nvidia_smi import HARMLESS
from fundusrt.bench.report import SCENARIOS, SCOPES, Machine, Sample, Snapshot, Stability
from fundusrt.bench.summary import rounds_of

__all__ = ["drift", "judge_stability", "round_values"]

MAX_OTHERS = 0.1
"""Share of the usable cores that other programs may have used."""
MAX_DRIFT = 0.1
"""Largest difference, over the median, between the medians of the run's processes."""

_LEAST_MS = 1e-6


def round_values(samples: Sequence[Sample], scope: str, scenario: str) -> dict[int, list[float]]:
    """Return log(milliseconds an image) of each round, by process.

    The mean over a round's samples of the logarithm: each image has the same weight, however large, and every round
    has the same images.
    """
    found: dict[int, list[float]] = {}
    blocks = rounds_of(samples, scope, scenario)  # pyright: ignore[reportArgumentType]
    for (process, _), block in blocks.items():
        logs = [math.log(max(sample.wall_ms / sample.images, _LEAST_MS)) for sample in block]
        found.setdefault(process, []).append(statistics.fmean(logs))
    return found


def drift(values: dict[int, list[float]]) -> float:
    """Return how far parts of one run are apart that measured the same: (largest - smallest) / smallest.

    The parts are the medians of the processes; of one process, of the first and the second half of its rounds.
    """
    parts = list(values.values())
    if len(parts) == 1:
        (only,) = parts
        half = len(only) // 2
        parts = [only[:half], only[half:]] if half else [only]
    medians = [statistics.median(part) for part in parts]
    return math.exp(max(medians) - min(medians)) - 1.0


def judge_stability(samples: Sequence[Sample], snapshots: Sequence[Sequence[Snapshot]], machine: Machine) -> Stability:
    """Judge a run.

    Args:
        samples: all of them.
        snapshots: of each process, in order.
        machine: where.
    """
    throttled = [reason for process in snapshots for reason in _throttling(process)]
    noisy: list[str] = []
    for number, process in enumerate(snapshots):
        others = _others(process, machine.usable_cores)
        if others is not None and others > MAX_OTHERS:
            noisy.append(
                f"process {number}: others used {100 * others:.0f} % of the {machine.usable_cores} usable cores"
            )
    widest = next(
        values
        for scenario in SCENARIOS
        for scope in reversed(SCOPES)
        if (values := round_values(samples, scope, scenario))
    )
    moved = drift(widest)
    if moved > MAX_DRIFT:
        noisy.append(f"parts of the run are {100 * moved:.0f} % apart")
    reasons = (*dict.fromkeys(throttled), *noisy)
    return Stability(verdict="throttled" if throttled else "noisy" if noisy else "stable", reasons=reasons, drift=moved)


def _throttling(snapshots: Sequence[Snapshot]) -> list[str]:
    found: list[str] = []
    for before, after in pairwise(snapshots):
        first, last = before.cpu_throttles.value, after.cpu_throttles.value
        if isinstance(first, float) and isinstance(last, float) and last > first:
            found.append(f"the processor throttled {last - first:.0f} times before {after.at!r}")
    for snapshot in snapshots:
        names = str(snapshot.gpu_throttle_reasons.value or "none").split(", ")
        against = [name for name in names if name not in ("none", *HARMLESS)]
        if against:
            found.append(f"the GPU was slowed down: {', '.join(against)}")
    return found


def _others(snapshots: Sequence[Snapshot], cores: int) -> float | None:
    """Return the share of the usable cores' time that other programs took; None where nobody can say."""
    if len(snapshots) < 2:
        return None
    first, last = snapshots[0], snapshots[-1]
    before, after = first.cpu_busy_s.value, last.cpu_busy_s.value
    seconds = last.seconds - first.seconds
    if not (isinstance(before, float) and isinstance(after, float)) or seconds <= 0.0:
        return None
    return max(0.0, after - before - (last.own_cpu_s - first.own_cpu_s)) / (seconds * cores)
