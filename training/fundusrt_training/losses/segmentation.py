"""The segmentation loss of one branch: L_seg = w1 BCE + w2 Dice + w3 Tversky (CMWNet paper, Methods).

    Dice    = 1 - (2 sum(p y) + e) / (sum p + sum y + e)
    Tversky = 1 - (TP + e) / (TP + a FP + b FN + e),   TP = sum(p y), FP = sum(p (1 - y)), FN = sum((1 - p) y)

with p the sigmoid of the logits, per sample, then the mean over the batch. Dice and Tversky are MONAI's classes, which
give exactly these numbers; a plain-Python twin in the tests says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.losses.dice import DiceLoss
from monai.losses.tversky import TverskyLoss
from torch import Tensor, nn
from torch.nn import functional as F

from fundusrt.errors import UsageError

__all__ = ["SegmentationLoss", "SegmentationLossConfig"]


@dataclass(frozen=True)
class SegmentationLossConfig:
    """Weights and constants of the segmentation loss.

    Args:
        bce: weight of binary cross-entropy.
        dice: weight of the Dice loss.
        tversky: weight of the Tversky loss.
        tversky_a: weight of false positives (the cited paper's best pair is 0.3, 0.7).
        tversky_b: weight of false negatives.
        smooth: e in both ratios.
    """

    bce: float = 1.0
    dice: float = 1.0
    tversky: float = 1.0
    tversky_a: float = 0.3
    tversky_b: float = 0.7
    smooth: float = 1.0

    def __post_init__(self) -> None:
        for name in ("bce", "dice", "tversky", "tversky_a", "tversky_b"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"loss.{name}", got=getattr(self, name), expected="at least 0")
        if self.bce + self.dice + self.tversky <= 0:
            raise UsageError("loss", got="bce, dice and tversky all 0", expected="at least one weight above 0")
        if not self.smooth > 0:
            raise UsageError("loss.smooth", got=self.smooth, expected="above 0: two empty maps would divide 0 by 0")


class SegmentationLoss(nn.Module):
    """BCE + Dice + Tversky on logits, in float32 whatever the logits' dtype.

    Args:
        config: weights.
    """

    def __init__(self, config: SegmentationLossConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SegmentationLossConfig()
        self.dice = DiceLoss(sigmoid=True, smooth_nr=config.smooth, smooth_dr=config.smooth)
        self.tversky = TverskyLoss(
            sigmoid=True,
            alpha=config.tversky_a,
            beta=config.tversky_b,
            smooth_nr=config.smooth,
            smooth_dr=config.smooth,
        )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits (N, 1, H, W) against a target (N, 1, H, W) of 0 and 1, any dtype."""
        with torch.autocast(logits.device.type, enabled=False):
            logits, target = logits.float(), target.float()
            total = logits.new_zeros(())
            if self.config.bce:
                total = total + self.config.bce * F.binary_cross_entropy_with_logits(logits, target)
            if self.config.dice:
                total = total + self.config.dice * self.dice(logits, target)
            if self.config.tversky:
                total = total + self.config.tversky * self.tversky(logits, target)
            return total
