"""SS-MAF as it is deployed: encoder, segmentation decoder and head; the rest of the network only trained it.

Left out: super-resolution decoder and head, fusion (10.24 of 39.19 million parameters). Rewritten, exactly: batch
normalisations folded, resizes after the 1x1 convolutions. Softmax and the choice of class 1 are part of the graph.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from fundusrt.errors import UsageError
from fundusrt_export.deployed_network import DeployedNetwork
from fundusrt_export.onnx_checks import check_graph
from fundusrt_export.onnx_trace import to_onnx
from fundusrt_export.rewrite.batch_norm import fold_batch_norms
from fundusrt_export.rewrite.resize_commutation import commute_resizes
from fundusrt_training.models.ss_maf import SsMaf

__all__ = ["OUTPUT", "DeployedSsMaf", "SegmentationStream", "deployed_stream", "export_ss_maf", "op_budget"]

logger = logging.getLogger(__name__)

OUTPUT = "probability"
EXUDATES = 1
"""The class whose probability is the answer; 0 is background."""


class SegmentationStream(nn.Module):
    """The part of SS-MAF that runs at test time (SS-MAF paper, Methods); parameters keep their names.

    Args:
        network: its parts are used, not copied.
    """

    def __init__(self, network: SsMaf) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.seg_decoder = network.seg_decoder
        self.seg_head = network.seg_head
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, 3, H, W), H and W multiples of 16, to logits (N, classes, rH, rW)."""
        return cast(Tensor, self.seg_head(self.seg_decoder(self.encoder(image))))


class DeployedSsMaf(DeployedNetwork):
    """Logits to the probability of class 1."""

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, 3, H, W) float32 to probabilities (N, 1, rH, rW) float32 in [0, 1]."""
        return self.network(image).softmax(dim=1)[:, EXUDATES : EXUDATES + 1]


def deployed_stream(network: SsMaf, *, example: Tensor | None = None) -> nn.Module:
    """Return the deployed form of a network, to logits, each rewrite proved equal on the example.

    Args:
        network: eval mode; not modified.
        example: (N, 3, H, W) for the proofs.

    Raises:
        UsageError: a network in training mode.
        RewriteDeclined, RewriteMismatch: a rewrite does not apply, or differs.
    """
    if network.training:
        raise UsageError("network to export", got="training mode", expected="eval mode", fix="call eval()")
    stream = SegmentationStream(copy.deepcopy(network))
    return commute_resizes(fold_batch_norms(stream, example=example), example=example)


def export_ss_maf(
    deployed: nn.Module,
    network: SsMaf,
    height_px: int,
    width_px: int,
    *,
    progress: Callable[[str], None] = logger.info,
) -> bytes:
    """Export a deployed form to ONNX and check the file.

    Input `image` (batch, 3, H, W) float32, normalised; output `probability` (batch, 1, rH, rW) float32.

    Args:
        deployed: from `deployed_stream`.
        network: the network it was made of.
        height_px: rows of the input, a multiple of 16.
        width_px: columns, likewise.
        progress: called with a line per pass.

    Raises:
        ExportError: the exporter failed, or the file holds what it must not (`onnx_checks`).
    """
    scale, shape = network.seg_head.up, (network.config.in_channels, height_px, width_px)
    content = to_onnx(DeployedSsMaf(deployed), shape, OUTPUT, progress=progress)
    check_graph(
        content,
        input_shape=shape,
        output_shape=(1, scale * height_px, scale * width_px),
        budget=op_budget(network),
        leftovers=network.config.classes != 2,  # one class of several is cut out
    )
    return content


def op_budget(network: SsMaf) -> int:
    """Return the most nodes the deployed network may have."""
    stages, steps = len(network.encoder.stages), len(network.seg_decoder.steps)
    encoder = 4 * stages + (stages - 1)  # twice Conv, Relu; MaxPool between stages
    decoder = 8 * steps  # Conv, Resize, Relu, Concat, twice Conv, Relu
    head = 1 if network.seg_head.up == 1 else 2
    return encoder + decoder + head + (1 if network.config.classes == 2 else 2)  # Sigmoid, or Softmax and Slice
