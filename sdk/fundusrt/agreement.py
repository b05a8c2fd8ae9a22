"""How far two arrays are apart, as figures with limits. What cannot be compared is infinitely far away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.certificate import Measurement
from fundusrt.ladder import limit_of

__all__ = ["at_least", "at_most", "cosine", "high_percentile", "largest_difference", "measured", "share_off"]

Values = npt.NDArray[Any]


def at_most(metric: str, value: float, limit: float) -> Measurement:
    """Return a figure that must not exceed its limit."""
    return Measurement(metric=metric, value=value, limit=limit, bound="at_most")


def at_least(metric: str, value: float, limit: float) -> Measurement:
    """Return a figure that must reach its limit."""
    return Measurement(metric=metric, value=value, limit=limit, bound="at_least")


def measured(rung: str, limit: str, value: float, prefix: str = "") -> Measurement:
    """Return a figure against its limit in the ladder's table.

    Args:
        rung: the rung's name.
        limit: the limit's name in it.
        value: what was measured.
        prefix: what was compared, where the rung compares several things.
    """
    kind = limit_of(rung, limit)
    metric = f"{prefix}: {kind.metric}" if prefix else kind.metric
    return Measurement(metric=metric, value=value, limit=kind.value, bound=kind.bound)


def largest_difference(reference: Values, other: Values) -> float:
    """Return max |reference - other|; infinity for other shapes or dtypes than each other's, and for NaN."""
    if reference.shape != other.shape or reference.dtype != other.dtype:
        return math.inf
    if not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return math.inf
    return float(np.abs(reference.astype(np.float64) - other.astype(np.float64)).max(initial=0.0))


def share_off(reference: Values, other: Values, levels: int) -> float:
    """Return the share of 8-bit samples that differ by more than `levels` grey levels; 1 where nothing compares."""
    if reference.shape != other.shape or reference.dtype != np.uint8 or other.dtype != np.uint8:
        return 1.0
    return float(np.mean(np.abs(reference.astype(np.int16) - other.astype(np.int16)) > levels))


def cosine(reference: Values, other: Values) -> float:
    """Return the cosine of the angle between two arrays; -infinity where it does not exist."""
    if reference.shape != other.shape or not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return -math.inf
    a, b = reference.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    # Not `a @ b`: how BLAS adds up depends on its number of threads, and a certificate must not.
    lengths = math.sqrt(float(np.sum(a * a))) * math.sqrt(float(np.sum(b * b)))
    if lengths == 0.0:
        return 1.0 if np.array_equal(a, b) else -math.inf
    return float(np.sum(a * b)) / lengths


def high_percentile(reference: Values, other: Values) -> float:
    """Return the 99.9th percentile of |reference - other|; infinity where nothing compares."""
    if not math.isfinite(largest_difference(reference, other)):
        return math.inf
    return float(np.percentile(np.abs(reference.astype(np.float64) - other.astype(np.float64)), 99.9))
