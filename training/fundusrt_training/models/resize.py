"""Bilinear resizing at pixel centres (align_corners False), as MPRNet and AG-Net use it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["halve", "resize", "resize_to"]


def resize_to(x: Tensor, height: int, width: int) -> Tensor:
    """Resize (N, C, h, w) to (N, C, height, width)."""
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=False)


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Resize (N, C, h, w) to the height and width of `like`."""
    return x if x.shape[-2:] == like.shape[-2:] else resize_to(x, like.shape[-2], like.shape[-1])


def halve(x: Tensor) -> Tensor:
    """Resize (N, C, H, W) to (N, C, H/2, W/2): the mean of each 2 x 2 block."""
    return resize_to(x, x.shape[-2] // 2, x.shape[-1] // 2)
