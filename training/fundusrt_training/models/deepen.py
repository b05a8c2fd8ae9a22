"""A trained UNet-Wavelet as the beginning of a deeper one.

Stages keep their weights; what was the deepest one becomes one with a skip. The new decoder stages begin close to the
identity on that skip: their 1x1 convolution gives 0, their 3x3 convolutions pass each channel on, and GroupNorm is set
to undo itself on what GroupNorm and ReLU gave before: a rectified standard normal, mean 1/sqrt(2 pi), variance
1/2 - 1/(2 pi). The new encoder stages begin as they were drawn.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from fundusrt_training.models.unet_wavelet import UNetWaveletConfig

__all__ = ["can_deepen", "deepened"]

_MEAN = 1.0 / math.sqrt(2.0 * math.pi)
_DEVIATION = math.sqrt(0.5 - 1.0 / (2.0 * math.pi))


def can_deepen(before: UNetWaveletConfig, now: UNetWaveletConfig) -> bool:
    """Return whether a network is another one with more levels, its stages as wide."""
    same = dataclasses.replace(before, levels=now.levels, max_channels=now.max_channels)
    simple = before.skip == "add" and before.align_conv == "pre_1x1" and before.norm_placement == "per_conv"
    return simple and same == now and now.levels > before.levels and now.widths[: before.levels + 1] == before.widths


def deepened(
    state: dict[str, Tensor], before: UNetWaveletConfig, fresh: dict[str, Tensor], now: UNetWaveletConfig
) -> dict[str, Tensor]:
    """Return the weights a deeper network begins with.

    Args:
        state: `state_dict` of the trained network.
        before: its configuration.
        fresh: `state_dict` of the deeper one as it was drawn.
        now: its configuration; see `can_deepen`.
    """
    extra = now.levels - before.levels
    made = dict(fresh)
    for name, value in state.items():
        part, *rest = name.split(".")
        if part == "decoder":  # counted from the deepest
            rest[0] = str(int(rest[0]) + extra)
        made[".".join([part, *rest])] = value
    for name in (name for name in fresh if name.startswith(tuple(f"decoder.{i}." for i in range(extra)))):
        made[name] = _identity(name, fresh[name])
    return made


def _identity(name: str, drawn: Tensor) -> Tensor:
    """Return a new decoder stage's weight: of the 1x1 convolution, a 3x3 one, or GroupNorm."""
    if ".align." in name:
        return torch.zeros_like(drawn)
    if drawn.ndim == 4:
        return nn.init.dirac_(torch.empty_like(drawn))
    return torch.full_like(drawn, _DEVIATION if name.endswith("weight") else _MEAN)
