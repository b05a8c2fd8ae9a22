"""Segmentation metrics of one image (CMWNet paper, Evaluation), at the resolution of the masks given.

The paper's printed surface formulas are unusable, so the customary conventions are offered by name:

* `medpy`: HD95 is the 95th percentile of both directed distance lists pooled; ASD the mean distance prediction ->
  reference.
* `monai`: HD95 is the larger of the two directed 95th percentiles; ASD as above.

A border is a mask minus its erosion with the 4-neighbourhood; outside the image counts as background. Two empty masks
score Dice 1 and distance 0; one empty mask scores Dice 0 and the image's diagonal, and is counted in `one_empty`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from fundusrt.errors import InvalidInput

__all__ = ["Scores", "border", "dice", "score", "surface_distances", "surface_distances_reference"]

Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.float64]
Convention = Literal["medpy", "monai"]


@dataclass(frozen=True)
class Scores:
    """Metrics of one image. `hd95` and `asd` are in px times `spacing`; precision and recall are 1 where undefined."""

    dice: float
    precision: float
    recall: float
    hd95: float
    asd: float
    one_empty: bool


def score(prediction: Mask, reference: Mask, *, convention: Convention = "medpy", spacing: float = 1.0) -> Scores:
    """Compare two (H, W) bool masks.

    Args:
        prediction: mask under test.
        reference: reference mask.
        convention: of the surface distances.
        spacing: length of a pixel's side; the unit of the distances.

    Raises:
        InvalidInput: shapes differ, or not bool.
    """
    _check(prediction, reference)
    hits = int(np.count_nonzero(prediction & reference))
    predicted, referenced = int(np.count_nonzero(prediction)), int(np.count_nonzero(reference))
    precision = hits / predicted if predicted else 1.0
    recall = hits / referenced if referenced else 1.0
    if not predicted or not referenced:
        both = not predicted and not referenced
        far = 0.0 if both else math.hypot(*prediction.shape) * spacing
        return Scores(float(both), precision, recall, far, far, not both)
    there, back = surface_distances(prediction, reference)
    if convention == "medpy":
        hd95 = float(np.percentile(np.concatenate((there, back)), 95))
    else:
        hd95 = max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))
    overlap = 2 * hits / (predicted + referenced)
    return Scores(overlap, precision, recall, hd95 * spacing, float(there.mean()) * spacing, False)


def dice(prediction: Mask, reference: Mask) -> float:
    """Return 2 TP / (2 TP + FP + FN) of two (H, W) bool masks; 1 for two empty ones."""
    _check(prediction, reference)
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(reference))
    return 2 * int(np.count_nonzero(prediction & reference)) / total if total else 1.0


def border(mask: Mask) -> Mask:
    """Return the mask's pixels that have a 4-neighbour outside it (or outside the image)."""
    inner = np.pad(mask, 1)
    eroded = inner[1:-1, 1:-1] & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~eroded


def surface_distances(prediction: Mask, reference: Mask) -> tuple[Distances, Distances]:
    """Return the distances in px of each border pixel to the other mask's border: prediction -> reference, and back.

    Equal to `surface_distances_reference`, by nearest-neighbour search over border pixels only, which does not grow
    with the image. Both masks must hold a pixel.
    """
    ours, theirs = np.argwhere(border(prediction)), np.argwhere(border(reference))
    there, _ = KDTree(theirs).query(ours)
    back, _ = KDTree(ours).query(theirs)
    return np.asarray(there, np.float64), np.asarray(back, np.float64)


def surface_distances_reference(prediction: Mask, reference: Mask) -> tuple[Distances, Distances]:
    """`surface_distances` by the definition: Euclidean distance transforms of the whole image."""
    ours, theirs = border(prediction), border(reference)
    to_theirs = np.asarray(distance_transform_edt(~theirs), np.float64)
    to_ours = np.asarray(distance_transform_edt(~ours), np.float64)
    return to_theirs[ours], to_ours[theirs]


def _check(prediction: Mask, reference: Mask) -> None:
    for name, mask in (("prediction", prediction), ("reference", reference)):
        if mask.dtype != np.bool_ or mask.ndim != 2:
            raise InvalidInput(
                name, got=f"shape {mask.shape}, {mask.dtype}", expected="(H, W) bool", fix="threshold it first"
            )
    if prediction.shape != reference.shape:
        raise InvalidInput(
            "masks",
            got=f"{prediction.shape} and {reference.shape}",
            expected="one shape",
            fix="compare at the image's own size",
        )
