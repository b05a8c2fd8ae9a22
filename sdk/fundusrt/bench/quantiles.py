"""Quantiles of wall time, and the interval in which they lie, by the bootstrap.

Samples of one round are no independent draws: a busy moment slows all of them. So whole rounds are drawn again, not
single samples (the cluster bootstrap), and the interval is that of the middle 95 % of the quantiles so found.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fundusrt.bench.report import Quantile

__all__ = ["QUANTILES", "quantiles"]

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "max": 1.0}

_DRAWS = 1000
_SEED = 20_240_229  # the same samples give the same interval
_INTERVAL = (2.5, 97.5)


def quantiles(blocks: Sequence[Sequence[float]]) -> tuple[Quantile, ...]:
    """Return p50, p90, p95, p99 and the largest of the samples of all blocks.

    A quantile above which not even one sample of this number is to be expected gets no interval, and says so: p99 of
    twelve samples is their largest.

    Args:
        blocks: milliseconds, at least one block and none empty; a block is a round.
    """
    values = np.asarray([ms for block in blocks for ms in block], np.float64)
    drawn = _redrawn(blocks) if len(blocks) > 1 else None
    found: list[Quantile] = []
    for name, share in QUANTILES.items():
        ms = float(np.quantile(values, share, method="linear"))
        reason = _why_no_interval(name, share, values.size, len(blocks))
        if reason is not None or drawn is None:
            found.append(Quantile.model_validate({"name": name, "ms": ms, "reason": reason}))
            continue
        low, high = np.percentile([np.quantile(each, share) for each in drawn], _INTERVAL)
        found.append(Quantile.model_validate({"name": name, "ms": ms, "low_ms": float(low), "high_ms": float(high)}))
    return tuple(found)


def _redrawn(blocks: Sequence[Sequence[float]]) -> list[npt.NDArray[np.float64]]:
    generator = np.random.default_rng(_SEED)
    arrays: list[npt.NDArray[np.float64]] = [np.asarray(block, np.float64) for block in blocks]
    picks = generator.integers(0, len(arrays), (_DRAWS, len(arrays)))
    return [np.concatenate([arrays[int(index)] for index in pick.tolist()]) for pick in picks]


def _why_no_interval(name: str, share: float, samples: int, blocks: int) -> str | None:
    if share == 1.0:
        return "the largest of the samples says nothing of larger ones"
    if blocks < 2:
        return "one round has no interval"
    needed = round(1.0 / (1.0 - share))
    return f"{name} needs {needed} samples, {samples} were taken" if samples < needed else None
