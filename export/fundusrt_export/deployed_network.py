"""What is exported: any form of a network, under one name, always in eval mode."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

__all__ = ["DeployedNetwork"]


class DeployedNetwork(nn.Module):
    """A network and what follows it at test time; a system's own subclass says what that is.

    Args:
        network: any form of the network; not copied. Parameters' names in the exported file are cut from `network`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, C, H, W) float32 to the network's own answer."""
        return cast(Tensor, self.network(image))
