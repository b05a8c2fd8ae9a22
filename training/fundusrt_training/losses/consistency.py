"""L4: the two branches should agree where they look at the same place (CMWNet paper, Methods; its form is not printed).

The whole-image branch's probability map is compared with the tile branch's on the tile's window. Sampling the window
with `grid_sample` gives the same numbers as enlarging the whole map to the image's size and cutting the window out,
without the large tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fundusrt.errors import UsageError

__all__ = ["ConsistencyConfig", "consistency_loss", "sample_window"]


@dataclass(frozen=True)
class ConsistencyConfig:
    """Form of L4.

    Args:
        type: distance of the two probability maps: `mse`, `l1`, or `bce` with the tile branch as soft target.
        detach: `small` passes no gradient to the tile branch (it is the teacher); `none` lets both move.
    """

    type: Literal["mse", "l1", "bce"] = "mse"
    detach: Literal["small", "none"] = "small"

    def __post_init__(self) -> None:
        if self.type not in ("mse", "l1", "bce"):
            raise UsageError("consistency.type", got=repr(self.type), expected="mse, l1 or bce")
        if self.detach not in ("small", "none"):
            raise UsageError("consistency.detach", got=repr(self.detach), expected="small or none")


def sample_window(maps: Tensor, windows: Tensor, height: int, width: int) -> Tensor:
    """Cut each tile's window out of the whole-image map, bilinearly enlarged (align_corners False, edges repeated).

    Args:
        maps: (N, C, h, w) float32, one whole-image map per tile.
        windows: (N, 4) float32: y0, x0, y1, x1 as fractions of the image, in [0, 1].
        height: height of the tile in px.
        width: width of the tile in px.

    Returns:
        (N, C, height, width).
    """
    y0, x0, y1, x1 = windows.unbind(dim=1)
    steps_y = (torch.arange(height, device=maps.device, dtype=maps.dtype) + 0.5) / height
    steps_x = (torch.arange(width, device=maps.device, dtype=maps.dtype) + 0.5) / width
    y = y0[:, None] + (y1 - y0)[:, None] * steps_y  # (N, height) pixel centres as fractions of the image
    x = x0[:, None] + (x1 - x0)[:, None] * steps_x  # (N, width)
    shape = (maps.shape[0], height, width)
    grid = torch.stack((x[:, None, :].expand(shape), y[:, :, None].expand(shape)), dim=-1) * 2 - 1
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


def consistency_loss(
    large_logits: Tensor, small_logits: Tensor, windows: Tensor, config: ConsistencyConfig | None = None
) -> Tensor:
    """Return L4, a scalar, in float32.

    Args:
        large_logits: (N, 1, h, w) whole-image branch.
        small_logits: (N, 1, H, W) tile branch.
        windows: (N, 4) the tiles' windows as fractions of the image (`sample_window`).
        config: distance and gradient flow.
    """
    config = config or ConsistencyConfig()
    with torch.autocast(large_logits.device.type, enabled=False):
        p_small = torch.sigmoid(small_logits.float())
        if config.detach == "small":
            p_small = p_small.detach()
        p_large = torch.sigmoid(large_logits.float())
        p_window = sample_window(p_large, windows.float(), p_small.shape[2], p_small.shape[3])
        if config.type == "mse":
            return F.mse_loss(p_window, p_small)
        if config.type == "l1":
            return F.l1_loss(p_window, p_small)
        return F.binary_cross_entropy(p_window, p_small)
