"""Net2Wider: a trained UNet-Wavelet with k times as many channels that computes the same function.

Chen, Goodfellow, Shlens, Net2Net (ICLR 2016), 3. Channel c of the narrow network becomes the channels k c, ..., k c +
k - 1 of the wide one, so GroupNorm's groups hold copies of the same channels and have the same mean and variance. A
convolution that reads k copies splits each weight w into k random shares that sum to w: the function stays, and the
copies get different gradients from the next layer, without which they would stay copies for ever.

A cheap network can so learn most of what there is to learn, and a wider one goes on from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from fundusrt.errors import UsageError
from fundusrt_training.models.unet_wavelet import UNetWaveletConfig

__all__ = ["widen", "widening_factor"]

_SPREAD = 0.5  # shares lie within 1 / k (1 -+ spread) before they are made to sum to 1


def widening_factor(narrow: UNetWaveletConfig, wide: UNetWaveletConfig) -> int:
    """Return k = wide.base / narrow.base.

    Raises:
        UsageError: the configurations differ in more than `base` and `wavelet_form`, `base` is no multiple, or the
            high bands are predicted by the decoder, whose channels are not copies side by side.
    """
    like = dataclasses.replace(narrow, base=wide.base, wavelet_form=wide.wavelet_form)
    differing = [f.name for f in dataclasses.fields(wide) if getattr(like, f.name) != getattr(wide, f.name)]
    if differing:
        name = differing[0]
        raise UsageError(
            f"unet.{name}",
            got=f"{getattr(wide, name)!r}, the starting weights have {getattr(narrow, name)!r}",
            expected="the same network; only unet.base may grow",
            fix=f"set unet.{name} {getattr(narrow, name)}",
        )
    if wide.base % narrow.base:
        raise UsageError(
            "unet.base",
            got=f"{wide.base}, the starting weights have {narrow.base}",
            expected=f"a multiple of {narrow.base}",
        )
    factor = wide.base // narrow.base
    if factor > 1 and wide.highs == "predicted":
        raise UsageError(
            "unet.base",
            got=f"{wide.base} with unet.highs predicted, the starting weights have {narrow.base}",
            expected="equal widths, or unet.highs encoder or zero",
            fix=f"set unet.base {narrow.base}",
        )
    return factor


def widen(state: Mapping[str, Tensor], factor: int, seed: int) -> dict[str, Tensor]:
    """Return the state of the wide network.

    Args:
        state: of a `UNetWavelet`, float32; `head.*` and the first convolution are recognised by name.
        factor: k, at least 1; 1 returns copies.
        seed: of the random shares.
    """
    generator = torch.Generator().manual_seed(seed)
    wide: dict[str, Tensor] = {}
    for name, tensor in state.items():
        outputs = 1 if name.startswith("head.") else factor  # logits are not multiplied
        grown = tensor.repeat_interleave(outputs, dim=0)
        if tensor.ndim == 4 and name != "encoder.0.0.weight":  # the image's channels are not multiplied
            grown = _split(grown, factor, generator)
        wide[name] = grown.clone()
    return wide


def _split(weight: Tensor, factor: int, generator: torch.Generator) -> Tensor:
    """Share each weight (O, I, h, w) out to k copies of its input channel: (O, k I, h, w)."""
    outputs, inputs = weight.shape[:2]
    drawn = torch.rand(outputs, inputs, factor, 1, 1, generator=generator, dtype=torch.float64)
    shares = (1 + _SPREAD * (2 * drawn - 1)).to(weight.dtype)
    shares = shares / shares.sum(dim=2, keepdim=True)
    return (weight[:, :, None] * shares).reshape(outputs, inputs * factor, *weight.shape[2:])
