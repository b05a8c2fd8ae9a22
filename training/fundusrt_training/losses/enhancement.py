"""The loss of one enhancement stage: L_e = Charbonnier(I, T) + w Edge(I, T) (MAGE-Net paper, Losses; MPRNet).

    Charbonnier = mean sqrt((I - T)^2 + e^2)
    Edge        = the same of G(I) - G(T)

The paper calls G a gradient function; by default it is MPRNet's residual of a Laplacian pyramid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fundusrt.errors import UsageError

__all__ = ["EnhancementLoss", "EnhancementLossConfig", "charbonnier", "laplacian_residual"]

_BINOMIAL = (0.05, 0.25, 0.4, 0.25, 0.05)


@dataclass(frozen=True)
class EnhancementLossConfig:
    """Weights and constants.

    Args:
        char_weight: of the Charbonnier term; 0 leaves it out.
        edge_weight: w; the paper's plain sum is 1, MPRNet has 0.05.
        edge_op: G: `laplacian`, `sobel`, or `diff`, the differences of neighbours.
        char_eps: e, in grey levels of [0, 1].
    """

    char_weight: float = 1.0
    edge_weight: float = 1.0
    edge_op: Literal["laplacian", "sobel", "diff"] = "laplacian"
    char_eps: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("char_weight", "edge_weight"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"loss.{name}", got=getattr(self, name), expected="at least 0")
        if self.edge_op not in _OPERATORS:
            raise UsageError("loss.edge_op", got=repr(self.edge_op), expected=", ".join(_OPERATORS))
        if not self.char_eps > 0:
            raise UsageError("loss.char_eps", got=self.char_eps, expected="above 0: the root has no slope at 0")


class EnhancementLoss(nn.Module):
    """Charbonnier + w Edge, in float32 whatever the images' dtype.

    Args:
        config: weights.
    """

    def __init__(self, config: EnhancementLossConfig | None = None) -> None:
        super().__init__()
        self.config = config or EnhancementLossConfig()

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of two (N, 3, H, W) images."""
        with torch.autocast(image.device.type, enabled=False):
            image, target = image.float(), target.float()
            total = self.config.char_weight * charbonnier(image - target, self.config.char_eps)
            if self.config.edge_weight:
                # G is linear: the difference of the edges is the edge of the difference
                edges = _OPERATORS[self.config.edge_op](image - target)
                total = total + self.config.edge_weight * charbonnier(edges, self.config.char_eps)
            return total


def charbonnier(difference: Tensor, eps: float) -> Tensor:
    """Return the mean of sqrt(difference^2 + eps^2)."""
    return (difference.square() + eps**2).sqrt().mean()


def laplacian_residual(x: Tensor) -> Tensor:
    """Return what a step down and up the Laplacian pyramid loses of (N, C, H, W), at the same size.

    Blur, keep every second pixel (times 4, zeros elsewhere), blur again, subtract from the image. Borders replicate.
    """
    low = _blur(x)
    sparse = torch.zeros_like(low)
    sparse[:, :, ::2, ::2] = 4.0 * low[:, :, ::2, ::2]
    return x - _blur(sparse)


def _blur(x: Tensor) -> Tensor:
    taps = x.new_tensor(_BINOMIAL)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, -1, -1)  # (C, 1, 5, 5)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), kernel, groups=x.shape[1])


def _sobel(x: Tensor) -> Tensor:
    """Map (N, C, H, W) to horizontal and vertical slopes (N, 2C, H, W), in grey levels per px."""
    smooth, slope = x.new_tensor([1.0, 2.0, 1.0]) / 4.0, x.new_tensor([-1.0, 0.0, 1.0]) / 2.0
    kernels = torch.stack((torch.outer(smooth, slope), torch.outer(slope, smooth)))[:, None]  # (2, 1, 3, 3)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernels.repeat(x.shape[1], 1, 1, 1), groups=x.shape[1])


def _differences(x: Tensor) -> Tensor:
    """Map (N, C, H, W) to differences to the right and lower neighbour, (N, 2C, H, W); 0 at the far borders."""
    across = F.pad(x.diff(dim=3), (0, 1))
    down = F.pad(x.diff(dim=2), (0, 0, 0, 1))
    return torch.cat((across, down), dim=1)


_OPERATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "laplacian": laplacian_residual,
    "sobel": _sobel,
    "diff": _differences,
}
