"""SS-MAF's scores: all pixels of a test set in one pool (paper, Evaluation; the authors' code).

Dice, IoU, recall and precision: the probability of exudates, enlarged to the photograph's own size by nearest
neighbour, above one half. PR-AUC: the probability as it is, against the mask brought to its size by nearest neighbour.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fundusrt_training.data.exudates import ExudateCase, read_exudates
from fundusrt_training.data.exudates.pairs import network_input
from fundusrt_training.pooled_metrics import PooledMetrics, pooled_figures
from fundusrt_training.systems.evaluator import Evaluator, Figures, Metric, Picks
from fundusrt_training.systems.ss_maf import SsMafModule
from fundusrt_training.systems.ss_maf_config import SsMafConfig

__all__ = ["SsMafEvaluator", "count_pixels", "exudate_mask", "probability_map"]

Map = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class SsMafEvaluator(Evaluator[ExudateCase, PooledMetrics]):
    """Scores the segmentation stream, as it is deployed."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("dice", "dice"),
        Metric("iou", "IoU"),
        Metric("recall", "recall"),
        Metric("precision", "prec."),
        Metric("pr_auc", "PR-AUC"),
    )
    combined: ClassVar[Literal["mean", "pooled"]] = "pooled"

    def __init__(
        self, config: SsMafConfig, modes: Sequence[str], state: dict[str, Tensor], device: torch.device, cache: Path
    ) -> None:
        del cache  # photographs are read when their turn comes
        self.config = config
        (self._mode,) = modes
        self._module = SsMafModule(config)
        self._module.load_weights(state)
        self._module.to(device)

    @classmethod
    def own_mode(cls, config: SsMafConfig) -> str:
        """Return the stream."""
        return config.net.stream

    @classmethod
    def cases(cls, data: Path, *, held_out: bool) -> list[ExudateCase]:
        """Return the test part of a data set that has one, and any other data set whole."""
        return read_exudates(data, "train" if held_out else "test")

    def score(self, case: ExudateCase) -> dict[str, PooledMetrics]:
        """Return an image's pixel counts."""
        p = probability_map(self._module, network_input(case, self.config.data, self.config.net.divisor))
        return {self._mode: count_pixels(p, case.mask())}

    @classmethod
    def columns(cls, score: PooledMetrics) -> dict[str, Any]:
        """Return the pixel counts and the image's own scores."""
        hits, alarms, misses = score.decisions
        return {"tp": hits, "fp": alarms, "fn": misses} | dataclasses.asdict(score.scores())

    @classmethod
    def figures(cls, scores: Sequence[PooledMetrics], picks: Picks) -> dict[str, Figures]:
        """Return the metrics of the selected images' pixels in one pool."""
        return pooled_figures(scores, picks)

    @classmethod
    def counts(cls, scores: Sequence[PooledMetrics]) -> dict[str, int]:
        """Return the decisions over all images."""
        totals = np.sum([score.decisions for score in scores], axis=0)
        return dict(zip(("tp", "fp", "fn"), map(int, totals), strict=True))


def probability_map(module: SsMafModule, lr: Tensor) -> Map:
    """Return the (H, W) float32 probability of exudates at the network's own size, of one input (3, h, w)."""
    device = next(module.parameters()).device
    return module.probability(lr[None].to(device))[0].cpu().numpy()


def exudate_mask(p: Map, size: tuple[int, int]) -> Mask:
    """Return the (height, width) bool mask of a probability map: enlarged first, then decided."""
    return _nearest(p, size) > np.float32(0.5)


def count_pixels(p: Map, reference: Mask) -> PooledMetrics:
    """Return one image's counts.

    Args:
        p: (H, W) float32 at the network's own size.
        reference: bool at the photograph's size.
    """
    counts = PooledMetrics()
    counts.add_mask(exudate_mask(p, reference.shape), reference)
    counts.add_probability(p, _nearest(reference.astype(np.float32), p.shape) > 0)
    return counts


def _nearest(values: Map, size: tuple[int, ...]) -> Map:
    height, width = size
    return F.interpolate(torch.from_numpy(values)[None, None], (height, width), mode="nearest")[0, 0].numpy()
