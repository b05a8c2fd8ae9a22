"""Metrics of a whole test set, all pixels in one pool (SS-MAF paper, Evaluation): micro Dice, IoU, recall, PR-AUC.

    Dice = 2 TP / (2 TP + FP + FN)     IoU = TP / (TP + FP + FN)     recall = TP / (TP + FN)

PR-AUC is the area under precision over recall by trapezoids, over every distinct probability. Probabilities are counted
on a grid of 2^-16, so that a test set of any size takes one megabyte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput

__all__ = ["PooledMetrics", "PooledScores", "pooled_figures"]

_LEVELS = 2**16
_SELECTIONS = 50  # worked on at once: 50 MB an array


@dataclass(frozen=True)
class PooledScores:
    """Metrics of a pool; each 1 where undefined (nothing marked and nothing to mark), `pr_auc` 0 without positives."""

    dice: float
    iou: float
    precision: float
    recall: float
    pr_auc: float


class PooledMetrics:
    """Counts pixels over images; masks and probabilities may be at different resolutions, as in the paper."""

    def __init__(self) -> None:
        self._hits = self._alarms = self._misses = 0
        self._counts = np.zeros((2, _LEVELS + 1), np.int64)  # of negatives and positives, by probability

    def add_mask(self, prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]) -> None:
        """Count one image's decisions. Raises InvalidInput unless both are bool and of one shape."""
        _check(prediction, reference, np.bool_)
        self._hits += int(np.count_nonzero(prediction & reference))
        self._alarms += int(np.count_nonzero(prediction & ~reference))
        self._misses += int(np.count_nonzero(~prediction & reference))

    def add_probability(self, p: npt.NDArray[np.float32], reference: npt.NDArray[np.bool_]) -> None:
        """Count one image's probabilities in [0, 1]. Raises InvalidInput for other values, dtypes or shapes."""
        _check(p, reference, np.float32)
        if p.size and not (p.min() >= 0.0 and p.max() <= 1.0):
            raise InvalidInput(
                "probabilities",
                got=f"values from {p.min():g} to {p.max():g}",
                expected="values in [0, 1]",
                fix="apply the softmax first; look for the NaN in the network",
            )
        level = np.floor(p.astype(np.float64) * _LEVELS + 0.5).astype(np.int64)
        self._counts[1] += np.bincount(level[reference], minlength=_LEVELS + 1)
        self._counts[0] += np.bincount(level[~reference], minlength=_LEVELS + 1)

    @property
    def decisions(self) -> tuple[int, int, int]:
        """True positives, false positives and false negatives so far."""
        return self._hits, self._alarms, self._misses

    @property
    def levels(self) -> npt.NDArray[np.int64]:
        """(2, 2^16 + 1) pixels by probability: the negatives', the positives'."""
        return self._counts

    def scores(self) -> PooledScores:
        """Return the metrics of everything added so far."""
        figures = pooled_figures([self], np.zeros((1, 1), np.int64))
        return PooledScores(**{name: float(values[0]) for name, values in figures.items()})


def pooled_figures(images: Sequence[PooledMetrics], picks: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the metrics of pools of images.

    Args:
        images: the counts of n images.
        picks: (R, n) indices; each row is a pool, in which an image may come several times.

    Returns:
        (R,) values by the names of `PooledScores`.
    """
    hits, alarms, misses = np.array([image.decisions for image in images], np.int64)[picks].sum(axis=1).T
    return {
        "dice": _ratio(2 * hits, 2 * hits + alarms + misses),
        "iou": _ratio(hits, hits + alarms + misses),
        "precision": _ratio(hits, hits + alarms),
        "recall": _ratio(hits, hits + misses),
        "pr_auc": _pr_auc(images, picks),
    }


def _pr_auc(images: Sequence[PooledMetrics], picks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    # Levels that no image has are left out; those a pool has not add steps of no width.
    counts = np.stack([image.levels[:, ::-1] for image in images])  # (n, 2, levels), from the surest on
    counts = counts[:, :, counts.any(axis=(0, 1))].astype(np.float64)  # integers far below 2^53
    how_often = np.stack([np.bincount(row, minlength=len(images)) for row in picks]).astype(np.float64)  # (R, n)
    areas = [
        _areas(np.tensordot(how_often[start : start + _SELECTIONS], counts, axes=1))
        for start in range(0, len(picks), _SELECTIONS)
    ]
    return np.concatenate(areas)


def _areas(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the (R,) areas under the curves of pools (R, 2, levels), 0 without positives."""
    alarms, hits = np.moveaxis(np.cumsum(counts, axis=2), 1, 0)
    if not counts.shape[2]:
        return np.zeros(len(counts))
    marked = hits[:, -1:]
    recall = np.divide(hits, marked, out=np.zeros_like(hits), where=marked > 0)
    precision = np.divide(hits, hits + alarms, out=np.ones_like(hits), where=hits + alarms > 0)
    first = np.zeros((len(counts), 1))
    recall, precision = np.hstack((first, recall)), np.hstack((first + 1.0, precision))
    return np.asarray(np.trapezoid(precision, recall, axis=1), np.float64)


def _ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.divide(part, whole, out=np.ones(part.shape), where=whole > 0)


def _check(values: npt.NDArray[np.generic], reference: npt.NDArray[np.bool_], dtype: type[np.generic]) -> None:
    if values.dtype != dtype or reference.dtype != np.bool_ or values.shape != reference.shape:
        raise InvalidInput(
            "prediction and reference",
            got=f"{values.shape} {values.dtype} and {reference.shape} {reference.dtype}",
            expected=f"one shape, {np.dtype(dtype).name} and bool",
            fix="resize the reference to the prediction, or the reverse",
        )
