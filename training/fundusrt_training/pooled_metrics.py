"""Metrics of a whole test set, all pixels in one pool (SS-MAF paper, Evaluation): micro Dice, IoU, recall, PR-AUC.

    Dice = 2 TP / (2 TP + FP + FN)     IoU = TP / (TP + FP + FN)     recall = TP / (TP + FN)

PR-AUC is the area under precision over recall by trapezoids, over every distinct probability. Probabilities are counted
on a grid of 2^-16, so that a test set of any size takes one megabyte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput

__all__ = ["PooledMetrics", "PooledScores"]

_LEVELS = 2**16


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

    def scores(self) -> PooledScores:
        """Return the metrics of everything added so far."""
        hits, alarms, misses = self._hits, self._alarms, self._misses
        return PooledScores(
            dice=_ratio(2 * hits, 2 * hits + alarms + misses),
            iou=_ratio(hits, hits + alarms + misses),
            precision=_ratio(hits, hits + alarms),
            recall=_ratio(hits, hits + misses),
            pr_auc=self._pr_auc(),
        )

    def _pr_auc(self) -> float:
        negatives, positives = self._counts[:, ::-1]  # from the surest on
        seen = np.flatnonzero(negatives + positives)
        if not positives.any():
            return 0.0
        hits, alarms = np.cumsum(positives)[seen], np.cumsum(negatives)[seen]
        recall = np.concatenate(([0.0], hits / hits[-1]))
        precision = np.concatenate(([1.0], hits / (hits + alarms)))
        return float(np.trapezoid(precision, recall))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _check(values: npt.NDArray[np.generic], reference: npt.NDArray[np.bool_], dtype: type[np.generic]) -> None:
    if values.dtype != dtype or reference.dtype != np.bool_ or values.shape != reference.shape:
        raise InvalidInput(
            "prediction and reference",
            got=f"{values.shape} {values.dtype} and {reference.shape} {reference.dtype}",
            expected=f"one shape, {np.dtype(dtype).name} and bool",
            fix="resize the reference to the prediction, or the reverse",
        )
