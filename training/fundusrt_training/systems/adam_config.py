"""Adam whose rate falls with every step, from `lr` to `lr_min`, along half a cosine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from fundusrt.errors import UsageError

__all__ = ["AdamConfig", "adam"]


@dataclass(frozen=True)
class AdamConfig:
    """The optimiser.

    Args:
        name: the optimiser.
        lr: learning rate of the first step.
        lr_min: learning rate after the last step.
        betas: of Adam.
        wd: weight decay.
        epochs: number of epochs.
        grad_clip: largest gradient norm, or null for none.
    """

    name: Literal["adam"] = "adam"
    lr: float = 2e-4
    lr_min: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.999)
    wd: float = 0.0
    epochs: int = 100
    grad_clip: float | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError("optim.epochs", got=self.epochs, expected="at least 1")
        if not self.lr > 0:
            raise UsageError("optim.lr", got=self.lr, expected="above 0")
        if not 0 <= self.lr_min <= self.lr:
            raise UsageError("optim.lr_min", got=self.lr_min, expected=f"0 to optim.lr {self.lr:g}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UsageError("optim.betas", got=self.betas, expected="two values from 0 to below 1")
        if not self.wd >= 0:
            raise UsageError("optim.wd", got=self.wd, expected="at least 0")
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise UsageError("optim.grad_clip", got=self.grad_clip, expected="above 0, or null for none")


def adam(parameters: Iterable[nn.Parameter], config: AdamConfig, steps: int) -> OptimizerLRSchedulerConfig:
    """Return the optimiser and its schedule for a run of `steps` steps."""
    optimizer = torch.optim.Adam(parameters, lr=config.lr, betas=config.betas, weight_decay=config.wd, fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, steps), eta_min=config.lr_min)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
