"""Figures of a rung. Anything that is not finite, or of another shape, measures as infinitely far away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.certificate import Measurement

__all__ = ["at_least", "at_most", "cosine", "largest_difference", "span"]

Values = npt.NDArray[Any]


def at_most(metric: str, value: float, limit: float) -> Measurement:
    """Return a figure that must not exceed its limit."""
    return Measurement(metric=metric, value=value, limit=limit, bound="at_most")


def at_least(metric: str, value: float, limit: float) -> Measurement:
    """Return a figure that must reach its limit."""
    return Measurement(metric=metric, value=value, limit=limit, bound="at_least")


def span(reference: Values, least: float) -> float:
    """Return max - min of the reference, and not less than `least`.

    A network that answers nearly the same everywhere would otherwise turn rounding into a large relative error.
    """
    return max(float(reference.max()) - float(reference.min()), least) if np.isfinite(reference).all() else math.nan


def largest_difference(reference: Values, other: Values) -> float:
    """Return max |reference - other|, infinity where shapes differ or a value is not finite."""
    if reference.shape != other.shape or not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return math.inf
    return float(np.abs(reference.astype(np.float64) - other.astype(np.float64)).max(initial=0.0))


def cosine(reference: Values, other: Values) -> float:
    """Return the cosine of the angle between two arrays; -infinity where it does not exist."""
    if reference.shape != other.shape or not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return -math.inf
    a, b = reference.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths == 0.0:
        return 1.0 if np.array_equal(a, b) else -math.inf
    return float(a @ b / lengths)
