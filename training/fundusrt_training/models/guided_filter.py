"""Attention guided filter (AG-Net, Zhang et al. 2019, eq. 4-7): up-sample features along the edges of a guide.

Within each window the output is A * guide + b, with A and b from a least-squares fit at low resolution in which each
position counts as much as the attention map says. Window means are over the part of the window inside the image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fundusrt_training.models.resize import resize

__all__ = ["attention_guided_filter", "window_mean"]

_FLOOR = 1e-12  # added to the attention


def window_mean(x: Tensor, radius: int) -> Tensor:
    """Return the mean of (N, C, H, W) over the (2 radius + 1)^2 window around each position, clipped at the border.

    Any radius: a window that reaches over the whole image is the image.
    """
    ry, rx = (min(radius, n - 1) for n in x.shape[-2:])
    return F.avg_pool2d(x, (2 * ry + 1, 2 * rx + 1), 1, (ry, rx), count_include_pad=False)


def attention_guided_filter(
    guide_low: Tensor, low: Tensor, guide: Tensor, attention: Tensor, radius: int = 2, eps: float = 0.01
) -> Tensor:
    """Return `low`, up-sampled to the guide's size.

    The sum over the attention is taken per image; the authors take it over the batch, which makes an image's result
    depend on its neighbours and agrees for a batch of one.

    It divides small numbers, for which bfloat16 has too few digits: whatever arrives is filtered in float32.

    Args:
        guide_low: x (N, C, h, w), the guide at the size of `low`.
        low: y (N, C, h, w).
        guide: (N, C, H, W).
        attention: a (N, 1, h, w), at least 0.
        radius: r of the window.
        eps: regularises A.
    """
    x, y, guide, attention = (_wide(each) for each in (guide_low, low, guide, attention))
    a = attention.abs() + _FLOOR
    count = _window_count(x, radius)  # N: (1, 1, h, w)
    t = a / a.sum(dim=(1, 2, 3), keepdim=True)  # (N, 1, h, w)
    mean_a = window_mean(a, radius)
    mean_ax, mean_ay = window_mean(a * x, radius), window_mean(a * y, radius)
    mean_tax = window_mean(t * a * x, radius)
    covariance = window_mean(a * a * x * y, radius) - count * mean_tax * mean_ay
    variance = window_mean(a * a * x * x, radius) - count * mean_tax * mean_ax
    slope = covariance / (variance.abs() + eps)  # A: (N, C, h, w)
    offset = (mean_ay - slope * mean_ax) / mean_a  # b: (N, C, h, w)
    slope, offset = (resize(window_mean(each, radius), guide) for each in (slope, offset))
    return slope * guide + offset  # (N, C, H, W)


def _wide(x: Tensor) -> Tensor:
    """Return float32 of half precision; float32 and float64 stay as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _window_count(x: Tensor, radius: int) -> Tensor:
    """Return the number of positions in each window, (1, 1, h, w)."""
    ry, rx = (min(radius, n - 1) for n in x.shape[-2:])
    ones = torch.ones(1, 1, *x.shape[-2:], dtype=x.dtype, device=x.device)
    side = (2 * ry + 1, 2 * rx + 1)
    # Not by `divisor_override`, which PyTorch's ONNX exporter drops without a word.
    return torch.round(F.avg_pool2d(ones, side, 1, (ry, rx)) * (side[0] * side[1]))
