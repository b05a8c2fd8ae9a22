"""PyTorch as the truth: a network's answer computed in float64.

In float32 PyTorch is no better than the runtime it is compared with: a bilinear resize to 1216 px places its samples
with an error of 3e-5 px, which a trained network's steep logits turn into 6e-5 of probability, in either of the two.
Their difference would tell of both; what counts is how far the runtime is from the trained function.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["Float64Network"]


class Float64Network(nn.Module):
    """A network's copy that computes in float64; takes and returns float32.

    Args:
        network: in eval mode; not modified.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).double().eval()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Map float32 inputs to the answer, rounded to float32."""
        return cast(Tensor, self.network(x.double())).float()
