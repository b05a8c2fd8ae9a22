"""Which of two runs is faster, with the noise of both taken into account.

1. A round's value is the mean over its images of log(milliseconds an image): images are matched, since every round of
   both runs has the same ones.
2. The ratio is exp(median of B's rounds - median of A's).
3. Its 95 % interval is that of 2000 draws in two steps: processes of each run are drawn again, then rounds within each,
   in pieces of neighbouring rounds (moving blocks), since what disturbs one round disturbs the next.
4. The floor is the least difference that is believed: `min_effect`, or the drift of either run if that is larger, the
   distance between parts of one run that measured the same thing. Two runs are hours apart, parts of one only minutes.
5. `faster` or `slower` is said where the ratio lies beyond the floor and the interval does not hold 1; otherwise
   `no difference`, which is no proof that there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fundusrt.bench.comparability import require_alike, shared_scopes, what_differs
from fundusrt.bench.report import BenchReport, Scenario, Scope
from fundusrt.bench.stability import drift, round_values
from fundusrt.errors import InvalidInput

__all__ = ["METHOD", "MIN_EFFECT", "Comparison", "Row", "compare", "ratio_of"]

METHOD = (
    "ratio of medians of rounds; 95 % interval by a bootstrap over processes and neighbouring rounds; a difference "
    "counts beyond the floor, the larger of the minimal effect and the drift inside each run"
)
MIN_EFFECT = 0.05
"""Differences below 5 % are not believed: builds, memory layouts and days differ by that."""
LEAST_ROUNDS = 3
"""A run with fewer rounds has no interval worth the name."""

_DRAWS = 2000
_SEED = 20_240_229

Verdict = Literal["faster", "slower", "no difference"]
Values = dict[int, list[float]]


@dataclass(frozen=True)
class Row:
    """One scope and scenario: B's time over A's, its interval, the floor, and what follows for B."""

    scope: Scope
    scenario: Scenario
    ratio: float
    low: float
    high: float
    floor: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side; `verdict` is that of the first row, the widest scope.

    `differs` is what was not alike, on purpose or not; `doubts` is why the figures may be worth less.
    """

    verdict: Verdict
    rows: tuple[Row, ...]
    differs: tuple[str, ...]
    doubts: tuple[str, ...]


def compare(
    a: BenchReport, b: BenchReport, *, min_effect: float = MIN_EFFECT, names: tuple[str, str] = ("A", "B")
) -> Comparison:
    """Compare B with A.

    Args:
        a: the run that is compared with.
        b: the run that is judged.
        min_effect: the least difference that counts, 0.05 for 5 %; at least 0.
        names: of the runs, for errors.

    Raises:
        InvalidInput: the runs are unlike or wrong, or one has fewer than 3 rounds.
    """
    if not (0.0 <= min_effect < 10.0):
        raise InvalidInput("min_effect", got=min_effect, expected="0 to 10", fix=f"{MIN_EFFECT} is 5 %")
    require_alike(a, b, names)
    rows: list[Row] = []
    for scope, scenario in shared_scopes(a, b):
        left, right = (round_values(report.samples, scope, scenario) for report in (a, b))
        for name, values in zip(names, (left, right), strict=True):
            _require_rounds(name, values)
        rows.append(_row(scope, scenario, left, right, min_effect))
    doubts = [
        f"{name} was {report.stability.verdict}: {'; '.join(report.stability.reasons)}"
        for name, report in zip(names, (a, b), strict=True)
        if report.stability.verdict != "stable"
    ]
    return Comparison(rows[0].verdict, tuple(rows), tuple(what_differs(a, b)), tuple(doubts))


def ratio_of(a: Values, b: Values) -> tuple[float, float, float]:
    """Return the ratio of B's time to A's and its 95 % interval.

    Args:
        a: log(milliseconds) of each round, in order, by process.
        b: the same.
    """
    ratio = _median(b) - _median(a)
    generator = np.random.default_rng(_SEED)
    drawn = _drawn_medians(b, generator) - _drawn_medians(a, generator)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return math.exp(ratio), math.exp(float(low)), math.exp(float(high))


def _row(scope: Scope, scenario: Scenario, a: Values, b: Values, min_effect: float) -> Row:
    ratio, low, high = ratio_of(a, b)
    floor = max(min_effect, drift(a), drift(b))
    verdict: Verdict = "no difference"
    if ratio > 1.0 + floor and low > 1.0:
        verdict = "slower"
    elif ratio < 1.0 / (1.0 + floor) and high < 1.0:
        verdict = "faster"
    return Row(scope, scenario, ratio, low, high, floor, verdict)


def _median(values: Values) -> float:
    return float(np.median([value for process in values.values() for value in process]))


def _drawn_medians(values: Values, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    processes: list[npt.NDArray[np.float64]] = [np.asarray(process, np.float64) for process in values.values()]
    medians = np.empty(_DRAWS, np.float64)
    for draw in range(_DRAWS):
        picked = generator.integers(0, len(processes), len(processes))
        again = [_redrawn(processes[int(index)], generator) for index in picked]
        medians[draw] = np.median(np.concatenate(again))
    return medians


def _redrawn(rounds: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw as many rounds again, in pieces of about the cube root of their number; after the last comes the first."""
    piece = max(1, round(rounds.size ** (1 / 3)))
    starts = generator.integers(0, rounds.size, -(-rounds.size // piece))
    return rounds[(starts[:, None] + np.arange(piece)).ravel()[: rounds.size] % rounds.size]


def _require_rounds(name: str, values: Values) -> None:
    rounds = sum(len(process) for process in values.values())
    if rounds < LEAST_ROUNDS:
        raise InvalidInput(
            name, got=f"{rounds} rounds", expected=f"at least {LEAST_ROUNDS}", fix="measure longer, with --rounds"
        )
