"""One wavelet step down and one step up, in two interchangeable forms.

`WaveletDown` / `WaveletUp` call pytorch_wavelets, as the CMWNet paper does (Methods, UNet-Wavelet). `HaarDown` /
`HaarUp` are the same function for the Haar wavelet on even sizes, written without any wavelet operation:

    LL(F)          = 2 avg_pool2(F)
    IDWT(l, H(F))  = F + 1/2 up2(l - LL(F))        (perfect reconstruction: IDWT(LL(F), H(F)) = F)
    IDWT(l, 0)     = 1/2 up2(l)

The second form is about 1.6 times faster, trains under autocast (pytorch_wavelets does not: its backward mixes dtypes)
and keeps the memory layout. Neither form has parameters, so checkpoints fit both.
"""

from __future__ import annotations

import warnings
from typing import Literal, cast

import pywt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fundusrt.errors import UsageError

with warnings.catch_warnings():
    # pytorch_wavelets imports pkg_resources, which warns that it is deprecated; this is the only place that imports it.
    warnings.simplefilter("ignore")
    from pytorch_wavelets import DWTForward, DWTInverse

__all__ = ["HaarDown", "HaarUp", "WaveletDown", "WaveletUp", "check_wavelet"]

SizeAlign = Literal["crop", "interpolate"]
DWT_MODES = ("zero", "symmetric", "reflect", "periodization", "periodic")


def check_wavelet(wave: str, mode: str) -> None:
    """Refuse a wavelet or padding mode that pytorch_wavelets cannot run.

    Raises:
        UsageError: `wave` is not a discrete wavelet of PyWavelets, or `mode` is not one of `DWT_MODES`.
    """
    if wave not in pywt.wavelist(kind="discrete"):  # pyright: ignore[reportAttributeAccessIssue]
        raise UsageError(
            "unet.wave", got=repr(wave), expected="a discrete wavelet of PyWavelets, such as haar, db2, bior2.2"
        )
    if mode not in DWT_MODES:
        raise UsageError("unet.dwt_mode", got=repr(mode), expected=", ".join(DWT_MODES))


def _without_saved_buffers(module: nn.Module) -> nn.Module:
    """Keep the filter taps out of the state dict: they follow from the wavelet's name; both forms share checkpoints."""
    for name, taps in list(module.named_buffers(recurse=False)):
        delattr(module, name)
        module.register_buffer(name, taps, persistent=False)
    return module


class WaveletDown(nn.Module):
    """Forward DWT, one level: halves the size.

    Args:
        wave: name of a discrete PyWavelets wavelet.
        mode: padding mode; irrelevant for Haar on even sizes.
    """

    def __init__(self, wave: str = "haar", mode: str = "zero") -> None:
        super().__init__()
        check_wavelet(wave, mode)
        self.dwt = _without_saved_buffers(DWTForward(J=1, wave=wave, mode=mode))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Split (N, C, H, W) into LL (N, C, H/2, W/2) and the bands LH, HL, HH (N, C, 3, H/2, W/2)."""
        low, highs = self.dwt(x)
        return low, highs[0]


class WaveletUp(nn.Module):
    """Inverse DWT, one level, aligned to the size of the skip features.

    Args:
        wave: name of a discrete PyWavelets wavelet.
        mode: padding mode.
        size_align: how a result one row or column too large (odd sizes, only with wavelets longer than Haar) is brought
            to the size of the skip: `crop` keeps the round trip exact, `interpolate` resizes bilinearly.
    """

    def __init__(self, wave: str = "haar", mode: str = "zero", size_align: SizeAlign = "crop") -> None:
        super().__init__()
        check_wavelet(wave, mode)
        if size_align not in ("crop", "interpolate"):
            raise UsageError("unet.size_align", got=repr(size_align), expected="crop or interpolate")
        self.idwt = _without_saved_buffers(DWTInverse(wave=wave, mode=mode))
        self.size_align = size_align

    def forward(self, low: Tensor, highs: Tensor | None, skip: Tensor) -> Tensor:
        """Join a low band with high bands.

        Args:
            low: (N, C, h, w).
            highs: (N, C, 3, h, w), or None for zeros.
            skip: (N, *, H, W); only its size is used.

        Returns:
            (N, C, H, W).
        """
        if highs is None:
            highs = low.new_zeros(low.shape[0], low.shape[1], 3, low.shape[2], low.shape[3])
        up = cast(Tensor, self.idwt((low, [highs])))
        height, width = skip.shape[-2], skip.shape[-1]
        if up.shape[-2] == height and up.shape[-1] == width:
            return up
        if self.size_align == "crop" and up.shape[-2] >= height and up.shape[-1] >= width:
            return up[..., :height, :width]
        return F.interpolate(up, size=(height, width), mode="bilinear", align_corners=False)


class HaarDown(nn.Module):
    """`WaveletDown` for Haar on even sizes, by average pooling."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (LL, LL): the high bands are never computed; LL together with x stands for them (`HaarUp`)."""
        low = 2 * F.avg_pool2d(x, 2)
        return low, low


class HaarUp(nn.Module):
    """`WaveletUp` for Haar on even sizes, by the perfect-reconstruction identity."""

    def forward(self, low: Tensor, highs: Tensor | None, skip: Tensor) -> Tensor:
        """Join a low band with the high bands of `skip`, or with zeros.

        Args:
            low: (N, C, h, w).
            highs: LL of `skip` (N, C, h, w) as `HaarDown` returned it, or None for zero high bands.
            skip: (N, C, 2h, 2w) the encoder features; they bring the high bands.

        Returns:
            (N, C, 2h, 2w).
        """
        if highs is None:
            return F.interpolate(0.5 * low, scale_factor=2, mode="nearest")
        return skip + F.interpolate(0.5 * (low - highs), scale_factor=2, mode="nearest")


def is_haar(wave: str) -> bool:
    """Return whether the name means the Haar wavelet (PyWavelets knows it by three names)."""
    taps = torch.tensor(pywt.Wavelet(wave).dec_lo)  # pyright: ignore[reportAttributeAccessIssue]
    return taps.numel() == 2
