"""Which convolutions int8 takes together, and which it leaves alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fundusrt_export.deployed_network import DeployedNetwork
from fundusrt_export.onnx_trace import to_onnx
from fundusrt_export.precision import PsnrJudge, to_precision

SIDE = 16


class Attention(nn.Module):
    """Two convolutions of one tensor, their sum weighed by a channel's mean, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 1)
        self.left, self.right = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.middle, self.weigh = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        x = torch.relu(self.stem(image))
        x = torch.relu(self.left(x) + self.right(x))
        weight = torch.sigmoid(self.weigh(x.mean((2, 3), keepdim=True)))
        return self.head(torch.relu(self.middle(x) * weight))


def test_layers() -> None:
    torch.manual_seed(0)
    network = to_onnx(DeployedNetwork(Attention().eval()), (3, SIDE, SIDE), "answer")
    tiles = np.random.default_rng(0).random((20, 3, SIDE, SIDE), np.float32)
    judge = PsnrJudge(network, tiles[16:], limit=10.0, threads=1)
    report = to_precision(network, "int8", tiles[:16], task="enhancement", judge=judge, threads=1).report
    assert {node.node: node.reason for node in report.kept} == {"Conv_0": "stem", "Conv_3": "pooled", "Conv_5": "head"}
    assert set(report.reduced) == {"Conv_1", "Conv_2", "Conv_4"}
    assert report.layers == 2  # left and right read the same tensor
