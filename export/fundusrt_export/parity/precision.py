"""R4: a network in float32 against the same network in another precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from fundusrt.agreement import measured
from fundusrt.backends.base import InferenceSession
from fundusrt.certificate import Measurement, Rung
from fundusrt.ladder import LADDER
from fundusrt.task_agreement import psnr, structural_similarity
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.measure import cosine, high_percentile
from fundusrt_export.parity.network_answers import Runnable, answers

__all__ = ["NEAR", "precision"]

NEAR = 0.02
"""Half the width of the band around the threshold in which rounding may turn a pixel."""

Maps = npt.NDArray[np.float32]
Lower = Literal["fp16", "bf16", "int8"]


def precision(
    lower: Lower,
    reference: Mapping[str, InferenceSession],
    candidates: Mapping[str, Runnable],
    inputs: ParityInputs,
    threshold: float | None,
) -> Rung:
    """Compare answers on every window.

    Args:
        lower: the other precision; each has its own limits and rung, `precision-fp16` and so on.
        reference: the float32 networks, by name.
        candidates: the same networks in the other precision: open sessions, or ONNX files for ONNX Runtime.
        inputs: windows.
        threshold: of the probability of a segmentation; None for an enhancement.

    Returns:
        For each network the 99.9th percentile of |difference| and the cosine; of a segmentation the share of the field
        of view that is turned, further from the threshold than `NEAR` and within it; of an enhancement the lowest PSNR
        and SSIM of a window.
    """
    rung = f"precision-{lower}"
    figures: list[Measurement] = []
    for network, session in reference.items():
        feeds = inputs.feeds(network)
        truth, made = answers(session, feeds), answers(candidates[network], feeds)
        figures.append(measured(rung, "difference", high_percentile(truth, made), network))
        figures.append(measured(rung, "cosine", cosine(truth, made), network))
        if threshold is None:
            pairs = [(_pixels(a), _pixels(b)) for a, b in zip(truth, made, strict=True)]
            figures.append(measured(rung, "psnr", min(psnr(a, b) for a, b in pairs), network))
            figures.append(measured(rung, "ssim", min(structural_similarity(a, b) for a, b in pairs), network))
            continue
        field = _field(list(inputs.windows[network].values()), truth.shape[-2:])
        outside, inside = _turned(truth[:, 0], made[:, 0], field, threshold)
        figures.append(measured(rung, "outside", outside, network))
        figures.append(measured(rung, "inside", inside, network))
    return Rung(name=rung, compares=LADDER[rung].compares, inputs=inputs.hashes(), measurements=tuple(figures))


def _turned(truth: Maps, made: Maps, field: npt.NDArray[np.bool_], threshold: float) -> tuple[float, float]:
    """Return the shares of the field that are turned, outside the band around the threshold and in it."""
    if truth.shape != made.shape or not np.isfinite(made).all():
        return 1.0, 1.0
    t = np.float32(threshold)
    turned, near = ((truth >= t) != (made >= t)) & field, np.abs(truth - t) <= np.float32(NEAR)
    whole = max(1, int(field.sum()))
    return float((turned & ~near).sum()) / whole, float((turned & near).sum()) / whole


def _field(windows: list[npt.NDArray[np.uint8]], size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Where the windows are not black, (windows, h, w) at the size of the answers, a multiple of theirs."""
    inside = np.stack([window.reshape(*window.shape[:2], -1).any(axis=2) for window in windows])
    scale = size[0] // inside.shape[1]
    return inside.repeat(scale, axis=1).repeat(scale, axis=2)


def _pixels(values: Maps) -> npt.NDArray[np.uint8]:
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return np.rint(np.clip(finite, 0.0, 1.0) * 255.0).astype(np.uint8).transpose(1, 2, 0)
