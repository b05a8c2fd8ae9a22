"""R4: how far answers in a reduced precision are from the float32 ones, as the figures of its rung."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.agreement import cosine, high_percentile, measured
from fundusrt.certificate import Measurement
from fundusrt.task_agreement import lesions_found, psnr, structural_similarity

__all__ = ["NEAR", "precision_figures"]

NEAR = 0.02
"""Half the width of the band around the threshold in which rounding may turn a pixel."""

Values = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def precision_figures(
    precision: str,
    truth: Values,
    made: Values,
    windows: Sequence[npt.NDArray[Any]],
    *,
    threshold: float | None,
    network: str = "",
) -> list[Measurement]:
    """Compare answers on one or more windows of the same size.

    Args:
        precision: `fp16`, `bf16` or `int8`; each has its own limits, those of the rung `precision-fp16` and so on.
        truth: (N, C, h, w), the float32 answers.
        made: the same in the other precision.
        windows: N of (H, W[, 3]) uint8, what the network saw; h is a multiple of H.
        threshold: of the probability of a segmentation, whose C is 1; None for an enhancement, whose C is 3.
        network: a name to put before the figures' names.

    Returns:
        The 99.9th percentile of |difference| and the cosine; of a segmentation the share of the field of view that is
        turned, further from the threshold than `NEAR` and within it, and the share of medium and large lesions found;
        of an enhancement the lowest PSNR and SSIM of a window. What does not compare, or is not finite, holds no limit.
    """
    rung = f"precision-{precision}"
    figures = {"difference": high_percentile(truth, made), "cosine": cosine(truth, made)}
    if threshold is None:
        pairs = [(_pixels(a), _pixels(b)) for a, b in zip(truth, made, strict=True)]
        figures["psnr"] = min(psnr(a, b) for a, b in pairs)
        figures["ssim"] = min(structural_similarity(a, b) for a, b in pairs)
    else:
        field = _field(windows, truth.shape[-2])
        figures["outside"], figures["inside"] = _turned(truth[:, 0], made[:, 0], field, threshold)
        masks = (answers[:, 0] >= np.float32(threshold) for answers in (truth, made))
        found = lesions_found(*masks)
        figures |= {size: found[size] for size in ("medium", "large")}
    return [measured(rung, name, value, network) for name, value in figures.items()]


def _turned(truth: Values, made: Values, field: Mask, threshold: float) -> tuple[float, float]:
    """Return the shares of the field that are turned, outside the band around the threshold and in it."""
    if truth.shape != made.shape or not np.isfinite(made).all():
        return 1.0, 1.0
    t = np.float32(threshold)
    turned, near = ((truth >= t) != (made >= t)) & field, np.abs(truth - t) <= np.float32(NEAR)
    whole = max(1, int(field.sum()))
    return float((turned & ~near).sum()) / whole, float((turned & near).sum()) / whole


def _field(windows: Sequence[npt.NDArray[Any]], height: int) -> Mask:
    """Where the windows are not black, (N, h, w) at the size of the answers, a multiple of theirs."""
    inside = np.stack([window.reshape(*window.shape[:2], -1).any(axis=2) for window in windows])
    scale = height // windows[0].shape[0]
    return inside.repeat(scale, axis=1).repeat(scale, axis=2)


def _pixels(values: Values) -> npt.NDArray[np.uint8]:
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return np.rint(np.clip(finite, 0.0, 1.0) * 255.0).astype(np.uint8).transpose(1, 2, 0)
