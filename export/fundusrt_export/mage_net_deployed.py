"""MAGE-Net as it is deployed: one enhanced image out, nothing that only the objective needs.

Left out: the structure module's side heads and their average, the stage-1 image as an output (it is computed: the
supervised attention looks at it), and the other network of a mean teacher. Kept: the whole trunk of the structure
module. Rewritten, exactly: group normalisations, in two passes; the halves of stage 1, stacked on the batch by
reshaping. Window means of the guided filter are average pooling already in training.

Measured in ONNX Runtime on the CPU against float64 (default widths, 2 CABs a block, random weights, 256 px), largest
error on noise, a photograph and a flat disc: with group normalisation as InstanceNormalization 8e-7, 1.4e-5 and 6.7e-5;
in two passes 5e-7, 6e-7 and 7e-7, PyTorch itself 1.1e-6 to 1.4e-6. The guided filters lose nothing: 2e-7 of their
output.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from fundusrt.errors import UsageError
from fundusrt_export.deployed_network import DeployedNetwork
from fundusrt_export.onnx_checks import check_graph
from fundusrt_export.onnx_trace import to_onnx
from fundusrt_export.rewrite.channel_group_norm import ChannelGroupNorm
from fundusrt_export.rewrite.group_norm import TwoPassGroupNorm
from fundusrt_export.rewrite.stacked_halves import StackedHalves, stack_halves
from fundusrt_export.targets import Normalisation, normalisation_nodes, normalised
from fundusrt_training.models.ag_net import GridAttention, GuidedUp
from fundusrt_training.models.channel_attention import CAB, ChannelAttention
from fundusrt_training.models.mage_net import FAB, SAM, MageNet, Stage1

__all__ = ["OUTPUT", "Enhancer", "LastStage", "deployed_enhancer", "export_mage_net", "op_budget"]

OUTPUT = "enhanced"

logger = logging.getLogger(__name__)


class Enhancer(nn.Module):
    """The part of MAGE-Net that runs at test time (MAGE-Net paper, Fig. 2); parameters keep their names.

    Args:
        network: its parts are used, not copied; the structure module's heads are taken off it.
    """

    def __init__(self, network: MageNet) -> None:
        super().__init__()
        self.stage1 = network.stage1
        self.sam = network.sam
        self.rsp = network.rsp
        self.stage2 = network.stage2
        if self.rsp is not None:
            self.rsp.heads = nn.ModuleList()
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, 3, H, W) in [0, 1], sides multiples of 16 and at least 96, to the last stage's image."""
        e, d = self.stage1(image)
        f, i1 = self.sam(d[0], image)
        if self.stage2 is None:
            return cast(Tensor, i1)
        if self.rsp is None:
            return cast(Tensor, self.stage2(image, f, e, d, (None, None, None)))
        _, r3, r2, r1 = self.rsp.features(image)  # 256 @ H/8, 128 @ H/4, 64 @ H/2, 32 @ H
        return cast(Tensor, self.stage2(image, f, e, d, (r1, r2, r3)))


class LastStage(DeployedNetwork):
    """The training network, of whose answers the last stage's image is kept."""

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to the last stage's image, not clipped."""
        return cast(Tensor, self.network(image).stages[-1])


def deployed_enhancer(
    network: MageNet, *, example: Tensor | None = None, normalisation: Normalisation = "two_pass"
) -> nn.Module:
    """Return the deployed form of a network, each rewrite proved equal on the example.

    Args:
        network: eval mode; not modified.
        example: (N, 3, H, W) for the proofs.
        normalisation: of a target (`targets.NORMALISATIONS`).

    Raises:
        UsageError: a network in training mode.
        RewriteDeclined, RewriteMismatch: a rewrite does not apply, or differs.
    """
    if network.training:
        raise UsageError("network to export", got="training mode", expected="eval mode", fix="call eval()")
    # Two different images, so that an order that is wrong would show.
    pair = None if example is None else torch.cat((example[:1], example[:1].flip(2)))
    stacked = stack_halves(Enhancer(copy.deepcopy(network)), example=pair)
    return normalised(stacked, normalisation, example)


def export_mage_net(
    deployed: nn.Module, height_px: int, width_px: int, *, progress: Callable[[str], None] = logger.info
) -> bytes:
    """Export a deployed form to ONNX and check the file.

    Input `image` (batch, 3, H, W) float32 in [0, 1]; output `enhanced` (batch, 3, H, W) float32, not clipped.

    Args:
        deployed: from `deployed_enhancer`.
        height_px: rows of the input, a multiple of 16, at least 96.
        width_px: columns, likewise.
        progress: called with a line per pass.

    Raises:
        ExportError: the exporter failed, or the file holds what it must not (`onnx_checks`).
    """
    shape = (3, height_px, width_px)
    content = to_onnx(DeployedNetwork(deployed), shape, OUTPUT, progress=progress)
    check_graph(content, input_shape=shape, output_shape=shape, budget=op_budget(deployed))
    return content


# Nodes of a module beside those of the modules inside it.
_NODES: dict[type[nn.Module], int] = {
    nn.Conv2d: 1,
    nn.ReLU: 1,
    nn.MaxPool2d: 4,  # the structure module's one pool is used at four scales
    CAB: 2,  # PRelu, Add
    ChannelAttention: 3,  # mean, Sigmoid, Mul
    TwoPassGroupNorm: normalisation_nodes("two_pass"),
    ChannelGroupNorm: normalisation_nodes("channel"),
    nn.GroupNorm: normalisation_nodes("instance"),
    Stage1: 6,  # four times Resize, twice Add
    StackedHalves: 6 + 12,  # and four times Reshape, Transpose, Reshape
    SAM: 4,  # Add, Sigmoid, Mul, Add
    FAB: 9,  # Add, two Resize, two Add, Resize, Concat, PRelu; one to spare
    GridAttention: 3,  # Add, Relu, Sigmoid
    GuidedUp: 45,  # Resize of the guide, Concat with its other half, the filter
}


def op_budget(deployed: nn.Module) -> int:
    """Return the most nodes a deployed form may have."""
    inside = sum(_NODES.get(type(module), 0) for module in deployed.modules())
    return inside + 20  # input pyramid of the structure module, joins between the stages, the last Add
