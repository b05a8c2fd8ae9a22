"""How well a vessel map fits a reference, inside the field of view (AG-Net paper; MAGE-Net paper, Evaluation)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import binary_auroc

from fundusrt.errors import InvalidInput
from fundusrt_training.metrics import dice

__all__ = ["VesselScores", "vessel_scores"]


@dataclass(frozen=True)
class VesselScores:
    """Of one image: area under the ROC curve; accuracy, IoU and Dice of the map cut at the threshold."""

    auc: float
    accuracy: float
    iou: float
    dice: float


def vessel_scores(
    p: npt.NDArray[np.float32],
    reference: npt.NDArray[np.bool_],
    fov: npt.NDArray[np.bool_],
    threshold: float = 0.5,
) -> VesselScores:
    """Compare a vessel map with a reference.

    Args:
        p: (H, W) float32 in [0, 1].
        reference: (H, W) bool.
        fov: (H, W) bool: only what lies inside counts.
        threshold: a pixel with at least this probability is a vessel.

    Raises:
        InvalidInput: other dtypes, shapes or values, or a field of view without vessels or without background.
    """
    if p.dtype != np.float32 or reference.dtype != np.bool_ or fov.dtype != np.bool_:
        found = f"{p.dtype}, {reference.dtype}, {fov.dtype}"
        raise InvalidInput("vessel map", got=found, expected="float32, bool, bool", fix="convert them")
    if not p.shape == reference.shape == fov.shape:
        found = f"{p.shape}, {reference.shape}, {fov.shape}"
        raise InvalidInput("vessel map", got=found, expected="one shape", fix="resize to the reference")
    values, truth = p[fov], reference[fov]
    if not values.size or truth.all() or not truth.any():
        raise InvalidInput(
            "vessel reference",
            got=f"{int(truth.sum())} vessel px of {truth.size} in the field of view",
            expected="vessels and background",
            fix="leave this image out",
        )
    if not (values.min() >= 0.0 and values.max() <= 1.0):
        raise InvalidInput(
            "vessel map",
            got=f"values from {values.min():g} to {values.max():g}",
            expected="values in [0, 1]",
            fix="apply the softmax first; look for NaN in the network",
        )
    marked = values >= np.float32(threshold)
    hits, either = int((marked & truth).sum()), int((marked | truth).sum())
    return VesselScores(
        auc=float(binary_auroc(torch.from_numpy(values.astype(np.float64)), torch.from_numpy(truth.astype(np.int64)))),
        accuracy=float((marked == truth).mean()),
        iou=hits / either,
        dice=dice(marked[None], truth[None]),
    )
