"""SS-MAF and MAGE-Net on one image in plain PyTorch: the truth that the deployed pipelines are compared with.

Written for reading: nothing of the SDK's way back from the frame to the image is used. The frame itself, 8-bit pixels,
is the SDK's. Networks compute in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from fundusrt.field_frame import FieldFrame
from fundusrt.frame_pipeline import cut_frame
from fundusrt.image import FundusImage
from fundusrt.manifest import FrameManifest, MageNetManifest, SsMafManifest
from fundusrt_export.parity.float64 import Float64Network

__all__ = [
    "EnhancementReference",
    "ExudateReference",
    "run_enhancement_reference",
    "run_exudate_reference",
]

Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ExudateReference:
    """Every stage of one image.

    Attributes:
        frame: (h, w[, 3]) uint8.
        p_frame: (k h, k w) probability on the frame.
        probability: (H, W), 0 outside the field of view.
        mask: (H, W) bool.
    """

    frame: npt.NDArray[np.uint8]
    p_frame: Map
    probability: Map
    mask: npt.NDArray[np.bool_]


@torch.no_grad()
def run_exudate_reference(network: nn.Module, image: FundusImage, manifest: SsMafManifest) -> ExudateReference:
    """Run one image.

    Args:
        network: the training network in eval mode, (1, C, h, w) to logits (1, classes, k h, k w).
        image: with a field of view.
        manifest: frame, input and post-processing.
    """
    frame, pixels = cut_frame(image, manifest)
    p = Float64Network(network)(network_input(pixels, manifest)).double().softmax(dim=1)[0, 1]
    mode = manifest.postprocess.upsample
    align = {} if mode == "nearest" else {"align_corners": False}
    mode = "nearest-exact" if mode == "nearest" else mode  # the nearest centre, which `nearest` of PyTorch is not
    resized = functional.interpolate(p[None, None], (frame.height, frame.width), mode=mode, **align)[0, 0]
    probability = on_canvas(resized, frame) * torch.from_numpy(image.fov.copy())
    mask = (probability >= manifest.postprocess.threshold).numpy()
    return ExudateReference(pixels, p.float().numpy(), probability.float().numpy(), np.asarray(mask, bool))


@dataclass(frozen=True)
class EnhancementReference:
    """Every stage of one image.

    Attributes:
        frame: (h, w[, 3]) uint8.
        enhanced: (3, h, w) float32, not clipped.
        image: (H, W, 3) float64 levels in [0, 255], before they are rounded.
    """

    frame: npt.NDArray[np.uint8]
    enhanced: Map
    image: npt.NDArray[np.float64]


@torch.no_grad()
def run_enhancement_reference(
    network: nn.Module, image: FundusImage, manifest: MageNetManifest
) -> EnhancementReference:
    """Run one image.

    Args:
        network: the training network in eval mode, (1, 3, h, w) to (1, 3, h, w).
        image: with a field of view.
        manifest: frame, input and the way back.
    """
    frame, pixels = cut_frame(image, manifest)
    enhanced = Float64Network(network)(network_input(pixels, manifest))[0]
    native = torch.from_numpy(image.pixels.astype(np.float64)) / np.iinfo(image.pixels.dtype).max
    native = native[None].expand(3, -1, -1) if native.ndim == 2 else native.permute(2, 0, 1)
    values = enhanced
    if manifest.postprocess.to_native == "residual":
        seen = torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255.0
        values = enhanced - (seen[None] if seen.ndim == 2 else seen.permute(2, 0, 1))
    size = (frame.height, frame.width)
    resized = functional.interpolate(values[None].double(), size, mode="bilinear", align_corners=False)[0]
    changed = torch.stack([on_canvas(channel, frame) for channel in resized])
    made = changed + native if manifest.postprocess.to_native == "residual" else changed
    inside = torch.from_numpy(image.fov.copy())
    levels = torch.where(inside, made.clamp(0, 1), native) * 255.0
    return EnhancementReference(pixels, enhanced.numpy(), levels.permute(1, 2, 0).numpy())


def network_input(pixels: npt.NDArray[np.uint8], manifest: FrameManifest) -> Tensor:
    """(h, w[, 3]) uint8 to (1, C, h, w) float32."""
    spec = manifest.input
    x = torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255.0
    x = x[None].expand(spec.channels, -1, -1) if x.ndim == 2 else x.permute(2, 0, 1)
    mean, std = (torch.tensor(values[: spec.channels])[:, None, None] for values in (spec.mean, spec.std))
    return ((x - mean) / std)[None]


def on_canvas(resized: Tensor, frame: FieldFrame) -> Tensor:
    """(height, width) of the frame to (H, W) of the image, 0 where the frame is not; each pixel by its own position."""
    y, x = (torch.arange(length) for length in frame.image_px)
    row, column = y - frame.top, x - frame.left
    inside = ((row >= 0) & (row < frame.height))[:, None] & ((column >= 0) & (column < frame.width))[None]
    picked = resized[row.clamp(0, frame.height - 1)][:, column.clamp(0, frame.width - 1)]
    return torch.where(inside, picked, torch.zeros((), dtype=resized.dtype))
