"""UNet-Wavelet: a U-Net that pools by a wavelet transform and up-samples by its inverse (CMWNet paper, Fig. 6).

    x (N, 3, 512, 512)
    E0  64 @ 512 ------ F0, H0 ----- U0  64 @ 512 -- 1x1 -- logits (N, 1, 512, 512)
     | DWT                            ^ IDWT
    E1 128 @ 256 ------ F1, H1 ----- U1 128 @ 256
     | DWT                            ^ IDWT
    E2 256 @ 128 ------ F2, H2 ----- U2 256 @ 128
     | DWT                            ^ IDWT
    E3 512 @ 64 ------- F3, H3 ----- U3 512 @ 64
     | DWT                            ^ IDWT
     +------- E4 1024 @ 32 -----------+

The paper leaves several details open. Each is a field of `UNetWaveletConfig` whose default is the reading this project
trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.models.wavelet import HaarDown, HaarUp, WaveletDown, WaveletUp, check_wavelet, is_haar

__all__ = ["UNetWavelet", "UNetWaveletConfig", "check_images", "double_conv"]


@dataclass(frozen=True)
class UNetWaveletConfig:
    """Every choice the paper leaves open, with this project's default.

    Args:
        in_channels: 3 (colour, or grey repeated) or 1.
        out_channels: number of logit maps.
        base: channels of the first stage; they double per level.
        levels: number of DWT steps; the network has levels + 1 convolution stages ("four levels", "iterated five
            times").
        max_channels: the doubling stops here, or None for never, as in the paper. A deep and narrow network sees as far
            as a deep and wide one.
        wave: PyWavelets name of the wavelet.
        dwt_mode: padding mode; irrelevant for Haar on even sizes.
        wavelet_form: `library` (pytorch_wavelets, as in the paper) or `haar_identity` (the same function for Haar,
            faster).
        highs: what the inverse gets as high bands: the `encoder`'s, `zero`, or `predicted` by a 1x1 convolution.
        skip: encoder features are `add`ed to, or `concat`enated with, the inverse's output.
        align_conv: where the channel count is halved: `pre_1x1` 1x1 convolution before the inverse, `post_conv` 1x1
            convolution after it, `split` the channels are themselves cut into four bands (needs highs=predicted).
        norm_placement: normalisation and ReLU after each convolution (`per_conv`) or once per block (`block_end`).
        gn_groups: groups of GroupNorm, at least 2 (one group is run wrongly by TensorRT).
        size_align: see `WaveletUp`.
    """

    in_channels: int = 3
    out_channels: int = 1
    base: int = 64
    levels: int = 4
    max_channels: int | None = None
    wave: str = "haar"
    dwt_mode: str = "zero"
    wavelet_form: Literal["library", "haar_identity"] = "library"
    highs: Literal["encoder", "zero", "predicted"] = "encoder"
    skip: Literal["add", "concat"] = "add"
    align_conv: Literal["pre_1x1", "post_conv", "split"] = "pre_1x1"
    norm_placement: Literal["per_conv", "block_end"] = "per_conv"
    gn_groups: int = 8
    size_align: Literal["crop", "interpolate"] = "crop"

    def __post_init__(self) -> None:
        for name, least in (("in_channels", 1), ("out_channels", 1), ("base", 2), ("levels", 1), ("gn_groups", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"unet.{name}", got=getattr(self, name), expected=f"at least {least}")
        if self.base % self.gn_groups:
            rounded = -(-self.base // self.gn_groups) * self.gn_groups
            raise UsageError(
                "unet.base",
                got=f"{self.base} channels with unet.gn_groups {self.gn_groups}",
                expected="a multiple of unet.gn_groups",
                fix=f"try unet.base {rounded}",
            )
        if self.max_channels is not None and (self.max_channels < self.base or self.max_channels % self.gn_groups):
            raise UsageError(
                "unet.max_channels",
                got=self.max_channels,
                expected=f"a multiple of unet.gn_groups {self.gn_groups}, at least unet.base {self.base}",
            )
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"unet.{name}", got=repr(getattr(self, name)), expected=", ".join(allowed))
        check_wavelet(self.wave, self.dwt_mode)
        self._check_combination()

    def _check_combination(self) -> None:
        if self.align_conv == "split" and self.highs != "predicted":
            raise UsageError(
                "unet.align_conv split",
                got=f"unet.highs {self.highs}",
                expected="unet.highs predicted: the decoder's own channels are the four bands",
                fix="set unet.highs predicted, or unet.align_conv pre_1x1",
            )
        if self.align_conv == "post_conv" and self.highs == "encoder":
            raise UsageError(
                "unet.align_conv post_conv",
                got="unet.highs encoder",
                expected="unet.highs zero or predicted: the encoder's bands have half as many channels as the low band",
                fix="set unet.highs zero, or unet.align_conv pre_1x1",
            )
        if self.wavelet_form == "haar_identity" and not is_haar(self.wave):
            raise UsageError(
                "unet.wavelet_form haar_identity",
                got=f"unet.wave {self.wave}",
                expected="unet.wave haar",
                fix="set unet.wavelet_form library",
            )
        if self.wavelet_form == "haar_identity" and self.highs == "predicted":
            raise UsageError(
                "unet.wavelet_form haar_identity",
                got="unet.highs predicted",
                expected="unet.highs encoder or zero: the identity never forms the high bands",
                fix="set unet.wavelet_form library",
            )

    @property
    def widths(self) -> list[int]:
        """Channels of each stage, finest first."""
        doubled = [self.base * 2**level for level in range(self.levels + 1)]
        return doubled if self.max_channels is None else [min(width, self.max_channels) for width in doubled]

    @property
    def divisor(self) -> int:
        """Height and width of an input must be multiples of this many px."""
        return 2**self.levels


_CHOICES: dict[str, tuple[str, ...]] = {
    "wavelet_form": ("library", "haar_identity"),
    "highs": ("encoder", "zero", "predicted"),
    "skip": ("add", "concat"),
    "align_conv": ("pre_1x1", "post_conv", "split"),
    "norm_placement": ("per_conv", "block_end"),
    "size_align": ("crop", "interpolate"),
}


def double_conv(in_channels: int, out_channels: int, config: UNetWaveletConfig) -> nn.Sequential:
    """Two 3x3 convolutions with GroupNorm and ReLU."""

    def conv(channels: int) -> nn.Conv2d:
        return nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)

    def norm() -> list[nn.Module]:
        return [nn.GroupNorm(config.gn_groups, out_channels, eps=1e-5), nn.ReLU(inplace=True)]

    between = norm() if config.norm_placement == "per_conv" else []
    return nn.Sequential(conv(in_channels), *between, conv(out_channels), *norm())


class UpBlock(nn.Module):
    """Decoder stage: channels halved, inverse wavelet, skip, two convolutions.

    Args:
        channels: channels of the skip features and of the output (C).
        below: channels of the input: 2C, or C where `max_channels` has stopped the doubling.
        config: the network's configuration.
    """

    def __init__(self, channels: int, below: int, config: UNetWaveletConfig) -> None:
        super().__init__()
        self.config = config
        before = channels if config.align_conv == "pre_1x1" else below
        aligned = below // 4 if config.align_conv == "split" else below
        self.align = nn.Conv2d(aligned, channels, 1)
        if config.highs == "predicted" and config.align_conv != "split":
            self.predict = nn.Conv2d(below, 3 * before, 1)
        joined = channels if config.skip == "add" else 2 * channels
        self.convs = double_conv(joined, channels, config)

    def forward(self, x: Tensor, highs: Tensor, skip: Tensor, up: WaveletUp | HaarUp) -> Tensor:
        """Map decoder features (N, 2C, h, w) and the encoder's highs and skip (N, C, 2h, 2w) to (N, C, 2h, 2w).

        `up` is the network's one inverse wavelet step: passed in, not owned, so that replacing it once replaces it
        everywhere.
        """
        if self.config.align_conv == "split":
            low, bands = _split_bands(x)  # (N, C/2, h, w), (N, C/2, 3, h, w)
            x = self.align(up(low, bands, skip))  # (N, C, 2h, 2w)
        elif self.config.align_conv == "post_conv":
            x = self.align(up(x, self._bands(x, highs), skip))  # (N, C, 2h, 2w)
        else:
            x = up(self.align(x), self._bands(x, highs), skip)  # (N, C, 2h, 2w)
        x = x + skip if self.config.skip == "add" else torch.cat((x, skip), dim=1)  # (N, C or 2C, 2h, 2w)
        return self.convs(x)  # (N, C, 2h, 2w)

    def _bands(self, x: Tensor, highs: Tensor) -> Tensor | None:
        if self.config.highs == "encoder":
            return highs
        if self.config.highs == "zero":
            return None
        bands = self.predict(x)  # (N, 3C', h, w)
        return bands.reshape(bands.shape[0], -1, 3, bands.shape[2], bands.shape[3])  # (N, C', 3, h, w)


def _split_bands(x: Tensor) -> tuple[Tensor, Tensor]:
    """Cut (N, 4Q, h, w) into a low band (N, Q, h, w) and high bands (N, Q, 3, h, w)."""
    quarter = x.shape[1] // 4
    low = x[:, :quarter]
    return low, x[:, quarter:].reshape(x.shape[0], quarter, 3, x.shape[2], x.shape[3])


class UNetWavelet(nn.Module):
    """UNet-Wavelet. Raises `InvalidInput` for a size that is not a multiple of 2^levels, or another channel count.

    Args:
        config: see `UNetWaveletConfig`; the default is the paper's network, 25 815 233 parameters.
    """

    def __init__(self, config: UNetWaveletConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetWaveletConfig()
        widths = config.widths  # 64, 128, 256, 512, 1024
        if config.wavelet_form == "library":
            self.down: WaveletDown | HaarDown = WaveletDown(config.wave, config.dwt_mode)
            self.up: WaveletUp | HaarUp = WaveletUp(config.wave, config.dwt_mode, config.size_align)
        else:
            self.down, self.up = HaarDown(), HaarUp()
        inputs = [config.in_channels, *widths[:-1]]
        self.encoder = nn.ModuleList(double_conv(c, width, config) for c, width in zip(inputs, widths, strict=True))
        self.decoder = nn.ModuleList(UpBlock(*pair, config) for pair in reversed(list(pairwise(widths))))
        self.head = nn.Conv2d(config.base, config.out_channels, 1)

    @property
    def dwt(self) -> nn.Module:
        """The one forward wavelet module all levels share."""
        return self.down.dwt if isinstance(self.down, WaveletDown) else self.down

    @property
    def idwt(self) -> nn.Module:
        """The one inverse wavelet module all levels share."""
        return self.up.idwt if isinstance(self.up, WaveletUp) else self.up

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) float, H and W multiples of 2^levels, to logits (N, out_channels, H, W)."""
        if not torch.jit.is_tracing() and not torch.compiler.is_compiling():  # pyright: ignore[reportPrivateImportUsage]
            check_images(x, self.config, "UNet-Wavelet input")
        skips: list[tuple[Tensor, Tensor]] = []
        for stage in list(self.encoder)[:-1]:
            features = stage(x)  # F: (N, 64, 512, 512), (N, 128, 256, 256), (N, 256, 128, 128), (N, 512, 64, 64)
            x, highs = self.down(
                features
            )  # LL: (N, 64, 256, 256), (N, 128, 128, 128), (N, 256, 64, 64), (N, 512, 32, 32)
            skips.append((features, highs))
        x = self.encoder[-1](x)  # (N, 1024, 32, 32)
        for block in self.decoder:
            features, highs = skips.pop()
            x = block(
                x, highs, features, self.up
            )  # (N, 512, 64, 64), (N, 256, 128, 128), (N, 128, 256, 256), (N, 64, 512, 512)
        return cast(Tensor, self.head(x))  # (N, 1, 512, 512)


def check_images(x: Tensor, config: UNetWaveletConfig, subject: str) -> None:
    """Refuse what a network cannot take, and say the size to pad to.

    Raises:
        InvalidInput: not (N, in_channels, H, W), or H or W no multiple of 2^levels.
    """
    if x.ndim != 4 or x.shape[1] != config.in_channels:
        raise InvalidInput(
            subject,
            got=f"shape {tuple(x.shape)}",
            expected=f"(N, {config.in_channels}, H, W)",
            fix="set unet.in_channels, or convert the images",
        )
    step = config.divisor
    height, width = x.shape[2], x.shape[3]
    if height % step or width % step or not height or not width:
        padded = tuple(max(1, -(-size // step)) * step for size in (height, width))
        raise InvalidInput(
            subject,
            got=f"{height} x {width} px",
            expected=f"height and width multiples of {step} (2^{config.levels})",
            fix=f"pad to {padded[0]} x {padded[1]}",
        )
