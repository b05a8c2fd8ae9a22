"""A UNet-Wavelet branch with height and width free, beside the batch: for who embeds a branch without the SDK's tiles.

One graph for all targets: the identity form with `ChannelGroupNorm`, which names no size of an image, so that nothing
about a shape is left to compute. Any other normalisation would read the image's shape at each of its reshapes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from fundusrt.agreement import largest_difference
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt_export.branch import DeployedBranch, deployed_form, uniform_noise
from fundusrt_export.errors import ExportError
from fundusrt_export.onnx_checks import HEIGHT, WIDTH, check_graph, op_budget
from fundusrt_export.onnx_export import OUTPUT
from fundusrt_export.onnx_trace import INPUT, to_onnx
from fundusrt_export.parity.float64 import Float64Network
from fundusrt_export.targets import normalised
from fundusrt_training.models.unet_wavelet import UNetWavelet

__all__ = ["LIMIT", "SIZES", "export_any_size"]

SIZES = ((2, 3), (5, 4), (8, 8))
"""Heights and widths on which every export is compared with PyTorch, in multiples of 2^levels."""

LIMIT = 1e-4

logger = logging.getLogger(__name__)


def export_any_size(
    network: UNetWavelet, *, example: Tensor | None = None, progress: Callable[[str], None] = logger.info
) -> bytes:
    """Export one branch for every size, check the file, and compare it with PyTorch at three sizes.

    Input `image` (batch, C, height, width) float32, output `probability` (batch, 1, height, width) float32; height and
    width are multiples of 2^levels, which the graph does not check.

    Args:
        network: the trained branch in library form, float32; not modified. Its wavelet is Haar's.
        example: (N, C, H, W) on which the rewrites prove themselves; default: uniform noise.
        progress: called with a line per pass and size.

    Returns:
        The content of the ONNX file.

    Raises:
        RewriteDeclined: the network has no identity form.
        ExportError: the exporter failed, the file holds what it must not, or answers otherwise than PyTorch.
    """
    config = network.config
    example = uniform_noise(network) if example is None else example
    rewritten = normalised(deployed_form(network, "identity", example=example), "channel", example)
    step = config.divisor
    shape = (config.in_channels, 4 * step, 4 * step)
    content = to_onnx(DeployedBranch(rewritten), shape, OUTPUT, step_px=step, progress=progress)
    check_graph(
        content,
        input_shape=(config.in_channels, HEIGHT, WIDTH),
        output_shape=(config.out_channels, HEIGHT, WIDTH),
        budget=op_budget(config, "identity", "channel"),
    )
    _compare(content, DeployedBranch(network), config.in_channels, step, progress)
    return content


def _compare(content: bytes, network: nn.Module, channels: int, step: int, progress: Callable[[str], None]) -> None:
    session, exact = OnnxRuntimeSession(content, source="any size"), Float64Network(network)
    generator = np.random.default_rng(0)
    for rows, columns in SIZES:
        feed = generator.random((2, channels, rows * step, columns * step), np.float32)
        difference = largest_difference(exact(torch.from_numpy(feed)).numpy(), session.run({INPUT: feed})[OUTPUT])
        size = f"{rows * step} x {columns * step} px"
        progress(f"  {size}: max |difference| {difference:.1e}")
        if not difference <= LIMIT:
            raise ExportError(
                f"any size, {size}", got=f"max |difference| {difference:.3g}", expected=f"at most {LIMIT:g}"
            )
