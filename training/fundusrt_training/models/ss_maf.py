"""SS-MAF: segmentation and super-resolution over one encoder, fused by attention (SS-MAF paper, Fig. 2 and 3).

    I_LR (N, 3, 480, 720)
      |
    encoder 64 - 128 - 256 - 512 - 1024
      |                      |
    seg decoder            SR decoder
      | F_seg (64)           | F_sr (64)     --- at input size
      +-------- MAF ---------+
      |   W_seg F + F        |   W_sr F + F
    seg head               SR head (ESPCN)   --- one each, shared by the plain and the fused features
    O_seg, O_fuseg         O_sr, O_fusr      (N, 2 or 3, 960, 1440)

At test time only encoder, segmentation decoder and segmentation head run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fundusrt.errors import InvalidInput, UsageError

__all__ = ["MultiAttentionFusion", "SplitSpatialConv", "SsMaf", "SsMafConfig", "SsMafOutputs"]

Stream = Literal["unet", "unet_interp", "unet_interp_sr", "full"]
_STREAMS = ("unet", "unet_interp", "unet_interp_sr", "full")


@dataclass(frozen=True)
class SsMafConfig:
    """The network; defaults are the authors' code.

    Args:
        in_channels: 3 (colour, or grey repeated).
        base: channels of the first stage; they double four times.
        classes: segmentation classes, background first.
        up: factor r between the input and the outputs.
        pool: kernel of the max-pooling, 3 (stride 2, padding 1) or 2.
        stream: the paper's ablation rows: `unet` output at input size; `unet_interp` resized by r; `unet_interp_sr`
            with the super-resolution stream; `full` with the fusion.
        d: channels inside the fusion.
        k: groups of channels there, one for each dilation.
        residual: whether the fusion's convolutions add their input (in the code, not in the text).
        relu: whether a ReLU follows (in the code, not in the text).
        prior: share of pixels that the untrained head gives to the classes after the background; None for the usual
            random biases, the authors' code. The first steps then need not push every pixel to the background, which
            in a narrow network can cost every feature that speaks for a lesion (docs/tables.md).
    """

    in_channels: int = 3
    base: int = 64
    classes: int = 2
    up: int = 2
    pool: Literal[2, 3] = 3
    stream: Stream = "full"
    d: int = 32
    k: int = 4
    residual: bool = True
    relu: bool = True
    prior: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("in_channels", 1), ("base", 2), ("classes", 2), ("up", 1), ("d", 1), ("k", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"net.{name}", got=getattr(self, name), expected=f"at least {least}")
        if self.stream not in _STREAMS:
            raise UsageError("net.stream", got=repr(self.stream), expected=", ".join(_STREAMS))
        if self.pool not in (2, 3):
            raise UsageError("net.pool", got=self.pool, expected="2 or 3")
        if self.prior is not None and not 0.0 < self.prior < 1.0:
            raise UsageError("net.prior", got=self.prior, expected="a share between 0 and 1, or null")
        if self.d % self.k:
            raise UsageError("net.d", got=f"{self.d} channels in {self.k} groups", expected="a multiple of net.k")

    @property
    def divisor(self) -> int:
        """Height and width of an input must be multiples of this many px."""
        return 16


class SsMafOutputs(NamedTuple):
    """What training sees: logits (N, classes, rH, rW) and images (N, 3, rH, rW); None where the stream lacks them."""

    seg: Tensor
    sr: Tensor | None = None
    fused_seg: Tensor | None = None
    fused_sr: Tensor | None = None


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """The paper's CBR."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3x3 CBR."""
    return nn.Sequential(conv_bn_relu(in_channels, out_channels, 3), conv_bn_relu(out_channels, out_channels, 3))


class Encoder(nn.Module):
    """Five stages, max-pooled in between.

    Args:
        config: the network's configuration.
    """

    def __init__(self, config: SsMafConfig) -> None:
        super().__init__()
        widths = [config.base * 2**level for level in range(5)]  # 64, 128, 256, 512, 1024
        inputs = [config.in_channels, *widths[:-1]]
        self.stages = nn.ModuleList(double_conv(c, width) for c, width in zip(inputs, widths, strict=True))
        self.pool = nn.MaxPool2d(config.pool, stride=2, padding=config.pool // 2 if config.pool == 3 else 0)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, C, 480, 720) to the features of every stage, finest first."""
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(self.pool(x) if features else x)
            features.append(x)  # (N, 64, 480, 720), (N, 128, 240, 360), ... (N, 1024, 30, 45)
        return features


class UpStep(nn.Module):
    """Resize to the skip's size, 1x1 CBR to its width, concatenate, two convolutions.

    Args:
        channels: channels of the skip and of the output (C); the input has 2C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(2 * channels, channels, 1)
        self.convs = double_conv(2 * channels, channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (N, 2C, h, w) and the skip (N, C, 2h, 2w) to (N, C, 2h, 2w)."""
        x = self.reduce(_resize(x, skip.shape[-2:]))  # (N, C, 2h, 2w)
        return cast(Tensor, self.convs(torch.cat((x, skip), dim=1)))  # (N, C, 2h, 2w)


class Decoder(nn.Module):
    """Four up-steps.

    Args:
        config: the network's configuration.
    """

    def __init__(self, config: SsMafConfig) -> None:
        super().__init__()
        self.steps = nn.ModuleList(UpStep(config.base * 2**level) for level in (3, 2, 1, 0))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map the encoder's features to (N, 64, 480, 720)."""
        x = features[-1]
        for step, skip in zip(self.steps, features[-2::-1], strict=True):
            x = step(x, skip)  # (N, 512, 60, 90), (N, 256, 120, 180), (N, 128, 240, 360), (N, 64, 480, 720)
        return x


class SuperResolutionHead(nn.Sequential):
    """ESPCN: two tanh convolutions, then r^2 pixels from each position; the output is not bounded.

    Args:
        channels: channels of the features.
        up: factor r.
    """

    def __init__(self, channels: int, up: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 5, padding=2, bias=False),
            nn.Tanh(),
            nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False),
            nn.Tanh(),
            nn.Conv2d(channels // 2, 3 * up**2, 3, padding=1, bias=False),
            nn.PixelShuffle(up),
        )


class SegmentationHead(nn.Module):
    """1x1 convolution, then resize by r.

    Args:
        channels: channels of the features.
        classes: channels of the logits.
        up: factor r.
    """

    def __init__(self, channels: int, classes: int, up: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, classes, 1)
        self.up = up

    def start_at(self, prior: float) -> None:
        """Set the biases so that features of zero give the classes after the background `prior` in all.

        The background's bias is the opposite of the others', so that the sigmoids of the RMI loss start low and high.
        """
        bias = cast(Tensor, self.conv.bias)
        lesions = len(bias) - 1
        half = 0.5 * math.log(lesions * (1.0 - prior) / prior)
        with torch.no_grad():
            bias.fill_(-half)
            bias[0] = half

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 64, H, W) to logits (N, classes, rH, rW)."""
        logits = self.conv(x)  # (N, classes, H, W)
        return logits if self.up == 1 else _resize(logits, (self.up * x.shape[-2], self.up * x.shape[-1]))


class SplitSpatialConv(nn.Module):
    """SSC: the channels in k groups, each at a dilation of its own, then BatchNorm, + input, ReLU.

    Args:
        config: d, k, residual and relu.
    """

    def __init__(self, config: SsMafConfig) -> None:
        super().__init__()
        self.config = config
        width = config.d // config.k
        first = nn.Conv2d(width, width, 1)
        rest = (nn.Conv2d(width, width, 3, padding=g, dilation=g, bias=False) for g in range(1, config.k))
        self.groups = nn.ModuleList([first, *rest])
        self.norm = nn.BatchNorm2d(config.d)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, d, H, W) to the same shape."""
        parts = x.chunk(self.config.k, dim=1)  # k of (N, d/k, H, W)
        y = self.norm(torch.cat([group(part) for group, part in zip(self.groups, parts, strict=True)], dim=1))
        y = y + x if self.config.residual else y  # (N, d, H, W)
        return F.relu(y) if self.config.relu else y


class MultiAttentionFusion(nn.Module):
    """MAF: both streams' features weigh each other, F' = W F + F.

    Args:
        config: base, d, k, residual and relu.
    """

    def __init__(self, config: SsMafConfig) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * config.base, config.d, 1)
        self.ssc = SplitSpatialConv(config)
        self.weigh_sr = nn.Conv2d(config.d, config.base, 1)
        self.weigh_seg = nn.Conv2d(config.d, config.base, 1)

    def forward(self, f_sr: Tensor, f_seg: Tensor) -> tuple[Tensor, Tensor]:
        """Map F_sr and F_seg, each (N, 64, H, W), to their weighted selves."""
        shared = self.ssc(self.mix(torch.cat((f_sr, f_seg), dim=1)))  # (N, d, H, W)
        w_sr, w_seg = self.weigh_sr(shared).sigmoid(), self.weigh_seg(shared).sigmoid()  # W: (N, 64, H, W)
        return w_sr * f_sr + f_sr, w_seg * f_seg + f_seg


class SsMaf(nn.Module):
    """SS-MAF. Raises `InvalidInput` for a size that is not a multiple of 16, or another channel count.

    Args:
        config: see `SsMafConfig`; the default is the paper's network: 39 186 602 parameters, 28 949 698 of
            them deployed.
    """

    def __init__(self, config: SsMafConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SsMafConfig()
        self.encoder = Encoder(config)
        self.seg_decoder = Decoder(config)
        self.seg_head = SegmentationHead(config.base, config.classes, 1 if config.stream == "unet" else config.up)
        if config.prior is not None:
            self.seg_head.start_at(config.prior)
        if config.stream in ("unet_interp_sr", "full"):
            self.sr_decoder = Decoder(config)
            self.sr_head = SuperResolutionHead(config.base, config.up)
        if config.stream == "full":
            self.maf = MultiAttentionFusion(config)

    def forward(self, x: Tensor) -> SsMafOutputs | Tensor:
        """Map images (N, 3, H, W) in [-1, 1] to `SsMafOutputs` in training, and to O_seg alone in evaluation."""
        self._check(x)
        features = self.encoder(x)
        f_seg = self.seg_decoder(features)  # F_seg: (N, 64, H, W)
        o_seg = self.seg_head(f_seg)  # O_seg: (N, classes, rH, rW)
        if not self.training:
            return cast(Tensor, o_seg)
        if self.config.stream in ("unet", "unet_interp"):
            return SsMafOutputs(o_seg)
        f_sr = self.sr_decoder(features)  # F_sr: (N, 64, H, W)
        o_sr = self.sr_head(f_sr)  # O_sr: (N, 3, rH, rW)
        if self.config.stream == "unet_interp_sr":
            return SsMafOutputs(o_seg, o_sr)
        fused_sr, fused_seg = self.maf(f_sr, f_seg)  # (N, 64, H, W) each
        return SsMafOutputs(o_seg, o_sr, self.seg_head(fused_seg), self.sr_head(fused_sr))

    def _check(self, x: Tensor) -> None:
        if torch.jit.is_tracing() or torch.compiler.is_compiling():  # pyright: ignore[reportPrivateImportUsage]
            return
        if x.ndim != 4 or x.shape[1] != self.config.in_channels or any(n % 16 or not n for n in x.shape[2:]):
            raise InvalidInput(
                "SS-MAF input",
                got=f"shape {tuple(x.shape)}",
                expected=f"(N, {self.config.in_channels}, H, W) with H and W multiples of {self.config.divisor}",
                fix="resize or pad the images",
            )


def _resize(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    return F.interpolate(x, (size[0], size[1]), mode="bilinear", align_corners=True)
