"""One branch of CMWNet to one self-contained ONNX file."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from fundusrt_export.branch import DeployedBranch, Form, deployed_form, uniform_noise
from fundusrt_export.onnx_checks import check_onnx
from fundusrt_export.onnx_trace import INPUT, OPSET, to_onnx
from fundusrt_export.targets import Normalisation, normalised
from fundusrt_training.models.unet_wavelet import UNetWavelet, check_images

__all__ = ["INPUT", "OPSET", "OUTPUT", "export_branch"]

OUTPUT = "probability"

logger = logging.getLogger(__name__)


def export_branch(
    network: UNetWavelet,
    *,
    form: Form = "identity",
    normalisation: Normalisation = "two_pass",
    size_px: int = 512,
    example: Tensor | None = None,
    progress: Callable[[str], None] = logger.info,
) -> bytes:
    """Rewrite one branch, export it to ONNX and check the file.

    Input `image` (batch, C, size, size) float32, output `probability` (batch, 1, size, size) float32; the sigmoid is
    inside, the threshold is not (`onnx_trace.to_onnx` says the rest).

    Args:
        network: the trained branch in library form, float32; not modified.
        form: `identity` or `convolution`; exactly equal.
        normalisation: of a target (`targets.NORMALISATIONS`).
        size_px: height and width in px, a multiple of 2^levels.
        example: (N, C, size, size) on which the rewrites prove themselves; default: uniform noise.
        progress: called with a line per pass.

    Returns:
        The content of the ONNX file.

    Raises:
        RewriteDeclined: the network has no such form.
        ExportError: the exporter failed, or the file holds what it must not (`onnx_checks`).
    """
    shape = (network.config.in_channels, size_px, size_px)
    check_images(torch.empty((2, *shape), device="meta"), network.config, "network to export")
    example = uniform_noise(network, size_px) if example is None else example
    rewritten = deployed_form(network, form, example=example)
    content = to_onnx(DeployedBranch(normalised(rewritten, normalisation, example)), shape, OUTPUT, progress=progress)
    check_onnx(content, network.config, form, normalisation, size_px)
    return content
