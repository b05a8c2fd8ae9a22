"""MAGE-Net's objective on pairs (paper, Losses).

L_sup = sum_k w_k L_e(I_k, T) + w_s sum_i L_s(S_i, V),    k = stages, i = the four side outputs of the structure module
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fundusrt.errors import UsageError
from fundusrt_training.losses.enhancement import EnhancementLoss, EnhancementLossConfig
from fundusrt_training.losses.vessels import vessel_cross_entropy, vessel_squared_error
from fundusrt_training.models.mage_net import MageOutputs

__all__ = ["MageLossConfig", "mage_losses"]

_STRUCTURE = {"ce": vessel_cross_entropy, "mse": vessel_squared_error}


@dataclass(frozen=True)
class MageLossConfig(EnhancementLossConfig):
    """The terms: those of a stage's loss, as in `EnhancementLossConfig`, and these.

    Args:
        stage_weights: w_k; a network of one stage uses the first.
        seg: L_s, cross-entropy (of two classes: the same as binary cross-entropy) or squared error.
        seg_weight: w_s; 0 leaves the term out, and no vessels are needed.
    """

    stage_weights: tuple[float, float] = (1.0, 1.0)
    seg: Literal["ce", "mse"] = "ce"
    seg_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not min(self.stage_weights) >= 0:
            raise UsageError("loss.stage_weights", got=self.stage_weights, expected="two values, at least 0")
        if self.seg not in _STRUCTURE:
            raise UsageError("loss.seg", got=repr(self.seg), expected=" or ".join(_STRUCTURE))
        if not self.seg_weight >= 0:
            raise UsageError("loss.seg_weight", got=self.seg_weight, expected="at least 0")


def mage_losses(
    outputs: MageOutputs, target: Tensor, vessels: Tensor | None, config: MageLossConfig
) -> dict[str, Tensor]:
    """Return the terms without their weights (`stage1`, `stage2`, `seg`) and L_sup, `loss`.

    Args:
        outputs: of the network.
        target: (N, 3, H, W) float32, the good photographs.
        vessels: (N, H, W) float32 share of a pixel's area, or None: then `seg` is left out.
        config: weights.
    """
    stage_loss = EnhancementLoss(config)
    terms: dict[str, Tensor] = {}
    total = target.new_zeros(())
    for place, (image, weight) in enumerate(zip(outputs.stages, config.stage_weights, strict=False), start=1):
        terms[f"stage{place}"] = stage_loss(image, target)
        if weight:
            total = total + weight * terms[f"stage{place}"]
    if vessels is not None and outputs.maps and config.seg_weight:
        sides = outputs.maps[:-1]  # the last is their average
        terms["seg"] = torch.stack([_STRUCTURE[config.seg](side, vessels) for side in sides]).sum()
        total = total + config.seg_weight * terms["seg"]
    return terms | {"loss": total}
