"""Percentile bootstrap over images (Efron and Tibshirani 1993): how far a figure could move with other images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["RESAMPLES", "bootstrap_interval", "interval_95", "resamples"]

RESAMPLES = 2000


def resamples(count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return (RESAMPLES, count) indices of images drawn with replacement; the same for every call with one seed.

    Figures of two candidates computed from the same draws are paired by image.
    """
    return np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))


def interval_95(figures: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 2.5th and the 97.5th percentile of a figure's (RESAMPLES,) values."""
    low, high = np.percentile(figures, (2.5, 97.5))
    return float(low), float(high)


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the mean of one value an image."""
    array = np.asarray(values, np.float64)
    return interval_95(array[resamples(len(array), seed)].mean(axis=1))
