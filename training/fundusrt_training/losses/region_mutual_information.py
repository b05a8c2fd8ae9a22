"""Region mutual information, L_RMI (SS-MAF paper, Losses; Zhao et al. 2019).

Around each pixel the r x r values of label and prediction make two d-vectors, d = r^2. Given the prediction P, what is
left of the label's covariance bounds their mutual information from below:

    M = S_yy - S_yp (S_pp + a I)^-1 S_yp^T,      l = log det(M + a I) / (2 d)
    L_RMI = w BCE + (1 - w) sum over classes, mean over images of l

P is the sigmoid of the logits (though the network's classes exclude each other), Y the one-hot label, both first
average-pooled; the S are sums over the positions, not means. l is negative for small matrices.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["region_mutual_information"]

_FLOOR = 1e-6  # added to P
_A = 5e-4  # a


def region_mutual_information(logits: Tensor, labels: Tensor, radius: int = 3, pool: int = 3, w: float = 0.5) -> Tensor:
    """Return L_RMI of logits (N, K, H, W) against labels (N, H, W) int64; covariances in float64, BCE in float32.

    Args:
        logits: scores.
        labels: classes 0 to K - 1.
        radius: side r of the neighbourhood in pooled px.
        pool: kernel and stride of the average-pooling before it (padding pool // 2).
        w: weight of the binary cross-entropy.
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float()
        one_hot = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(logits.dtype)  # Y: (N, K, H, W)
        # summed over classes, so divided by pixels + 1, not by their values
        bce = F.binary_cross_entropy_with_logits(logits, one_hot, reduction="sum") / (labels.numel() + 1.0)
        bound = _lower_bound(logits.sigmoid() + _FLOOR, one_hot, radius, pool)
        return w * bce + (1.0 - w) * bound


def _lower_bound(p: Tensor, y: Tensor, radius: int, pool: int) -> Tensor:
    """Return the sum over classes of the mean over images of l."""
    p, y = (F.avg_pool2d(maps, pool, stride=pool, padding=pool // 2) for maps in (p, y))  # (N, K, H/3, W/3)
    p, y = (_neighbourhoods(maps, radius).double() for maps in (p, y))  # (N, K, d, positions)
    p, y = (vectors - vectors.mean(dim=3, keepdim=True) for vectors in (p, y))
    d = radius**2
    ridge = _A * torch.eye(d, dtype=p.dtype, device=p.device)
    s_yy, s_yp, s_pp = y @ y.mT, y @ p.mT, p @ p.mT  # (N, K, d, d)
    m = s_yy - s_yp @ torch.linalg.solve(s_pp + ridge, s_yp.mT)
    lower = torch.linalg.cholesky(m + ridge)
    log_det = 2.0 * lower.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)  # (N, K)
    return cast(Tensor, (0.5 / d * log_det).mean(dim=0).sum().float())


def _neighbourhoods(maps: Tensor, radius: int) -> Tensor:
    """Map (N, K, h, w) to all r x r neighbourhoods inside: (N, K, r^2, (h - r + 1)(w - r + 1))."""
    height, width = maps.shape[2] - radius + 1, maps.shape[3] - radius + 1
    shifted = [maps[:, :, y : y + height, x : x + width] for y in range(radius) for x in range(radius)]
    return torch.stack(shifted, dim=2).flatten(3)
