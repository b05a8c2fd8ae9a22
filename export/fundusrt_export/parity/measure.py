"""Figures of a rung that only the export needs; `fundusrt.agreement` has the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.agreement import largest_difference

__all__ = ["cosine", "high_percentile", "span"]

Values = npt.NDArray[Any]


def span(reference: Values, least: float) -> float:
    """Return max - min of the reference, and not less than `least`.

    A network that answers nearly the same everywhere would otherwise turn rounding into a large relative error.
    """
    return max(float(reference.max()) - float(reference.min()), least) if np.isfinite(reference).all() else math.nan


def cosine(reference: Values, other: Values) -> float:
    """Return the cosine of the angle between two arrays; -infinity where it does not exist."""
    if reference.shape != other.shape or not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return -math.inf
    a, b = reference.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths == 0.0:
        return 1.0 if np.array_equal(a, b) else -math.inf
    return float(a @ b / lengths)


def high_percentile(reference: Values, other: Values) -> float:
    """Return the 99.9th percentile of |reference - other|; infinity where nothing compares."""
    if not math.isfinite(largest_difference(reference, other)):
        return math.inf
    return float(np.percentile(np.abs(reference.astype(np.float64) - other.astype(np.float64)), 99.9))
