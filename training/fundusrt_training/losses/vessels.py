"""AG-Net's loss on its vessel maps: cross-entropy of two classes against the vessels' share of each pixel.

For a share of 0 or 1 it is the ordinary cross-entropy. With two classes, binary cross-entropy of the vessel's
probability is the same number.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["vessel_cross_entropy", "vessel_squared_error"]


def vessel_cross_entropy(logits: Tensor, share: Tensor) -> Tensor:
    """Return the mean of -s log p - (1 - s) log(1 - p), in float32.

    Args:
        logits: (N, 2, H, W), vessels second.
        share: s, (N, H, W) in [0, 1].
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_p = logits.float().log_softmax(dim=1)
        return -(share * log_p[:, 1] + (1.0 - share) * log_p[:, 0]).mean()


def vessel_squared_error(logits: Tensor, share: Tensor) -> Tensor:
    """Return the mean of (p - s)^2, in float32; arguments as in `vessel_cross_entropy`."""
    with torch.autocast(logits.device.type, enabled=False):
        return (logits.float().softmax(dim=1)[:, 1] - share).square().mean()
