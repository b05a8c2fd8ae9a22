"""The mean teacher of T-MAGE-Net (paper, Semi-supervised training; Tarvainen and Valpola 2017).

    theta_T <- a theta_T + (1 - a) theta_S,  a = min(1 - 1/(t + 1), decay)       after each step
    L = L_sup + mu(t) L_con,                 mu(t) = mu_max exp(-5 (1 - min(t, T)/T)^2)

The student teaches the teacher, and `a` weighs the teacher's *old* weights: the opposite of CMWNet's average
(`systems.cmwnet`), which is why the two have different names and no common code.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fundusrt.errors import UsageError
from fundusrt_training.models.mage_net import MageOutputs

__all__ = ["MeanTeacher", "TeacherConfig", "consistency", "noisy", "ramp"]


@dataclass(frozen=True)
class TeacherConfig:
    """The teacher.

    Args:
        enabled: without it, training is supervised alone.
        decay: largest a.
        warmup: whether a starts at 0 and grows, or is `decay` from the first step on.
        mu_max: final weight of the consistency term.
        ramp_frac: part of all steps over which that weight grows.
        noise_sigma: of the noise on the teacher's input, in [0, 1].
        noise_clip: largest noise.
    """

    enabled: bool = True
    decay: float = 0.999
    warmup: bool = True
    mu_max: float = 1.0
    ramp_frac: float = 0.3
    noise_sigma: float = 0.1
    noise_clip: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise UsageError("teacher.decay", got=self.decay, expected="0 to below 1")
        if not 0 <= self.ramp_frac <= 1:
            raise UsageError("teacher.ramp_frac", got=self.ramp_frac, expected="0 to 1")
        for name in ("mu_max", "noise_sigma", "noise_clip"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"teacher.{name}", got=getattr(self, name), expected="at least 0")


class MeanTeacher(nn.Module):
    """A copy of the student that follows it and never gets a gradient.

    Args:
        student: the network that learns.
        config: the rule.
    """

    def __init__(self, student: nn.Module, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        self.network = copy.deepcopy(student).requires_grad_(requires_grad=False)

    def forward(self, x: Tensor) -> MageOutputs:
        """Run the teacher, without gradient."""
        with torch.no_grad():
            return self.network(x)

    @torch.no_grad()
    def follow(self, student: nn.Module, step: int) -> None:
        """Move towards the student after optimiser step `step` = 0, 1, ...; buffers are copied."""
        a = min(1.0 - 1.0 / (step + 1), self.config.decay) if self.config.warmup else self.config.decay
        # all at once: on a GPU, hundreds of small tensors cost more to ask for than to move
        get_ema_multi_avg_fn(a)(list(self.network.parameters()), list(student.parameters()), step)
        for mine, its in zip(self.network.buffers(), student.buffers(), strict=True):
            mine.copy_(its)


def ramp(step: int, steps: int, config: TeacherConfig) -> float:
    """Return mu at a step of a run of `steps`."""
    length = config.ramp_frac * steps
    if length <= 0:
        return config.mu_max
    return config.mu_max * math.exp(-5.0 * (1.0 - min(step, length) / length) ** 2)


def noisy(x: Tensor, config: TeacherConfig, generator: torch.Generator | None = None) -> Tensor:
    """Return x' = x + Gaussian noise, the noise clipped; what the teacher sees."""
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device) * config.noise_sigma
    return x + noise.clamp(-config.noise_clip, config.noise_clip)


def consistency(student: MageOutputs, teacher: MageOutputs) -> Tensor:
    """Return L_con: mean squared differences of every stage's image and of every side output's class probabilities.

    The average of the side outputs, which follows from them, is left out.
    """
    images = [F.mse_loss(mine, its) for mine, its in zip(student.stages, teacher.stages, strict=True)]
    maps = [
        F.mse_loss(mine.float().softmax(dim=1), its.float().softmax(dim=1))
        for mine, its in zip(_sides(student), _sides(teacher), strict=True)
    ]
    return torch.stack(images + maps).sum()


def _sides(outputs: MageOutputs) -> Sequence[Tensor]:
    return outputs.maps[:4]
