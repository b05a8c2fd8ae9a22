"""AG-Net: a U-Net that up-samples by an attention guided filter (Zhang et al. 2019). It is MAGE-Net's RSP.

x (N, 3, H, W)          x/2 -> m2 64     x/4 -> m3 128    x/8 -> m4 256
|                         |                |                |
c1 32 @ H -- pool --- c2 64 @ H/2 -- pool - c3 128 @ H/4 - pool - c4 256 @ H/8 -- pool -- centre 512 @ H/16
|                         |                |                |                              |
R 32 @ H <---- AGF ---- R 64 @ H/2 <- AGF -- R 128 @ H/4 <- AGF -- R 256 @ H/8 <-- AGF -----+
|                         |                |                |
side head of each: 1x1 -> 2 classes, at full size; their average is the fifth output
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.models.guided_filter import attention_guided_filter
from fundusrt_training.models.resize import resize, resize_to

__all__ = ["AgNet", "AgNetConfig", "AgNetOutputs"]

MIN_SIDE_PX = 96


@dataclass(frozen=True)
class AgNetConfig:
    """The network; defaults are the authors' code.

    Args:
        in_channels: 3.
        base: channels of the first stage; they double three times, and once more in the centre.
        classes: segmentation classes, background first.
        gn_groups: groups of GroupNorm.
        gn_eps: its epsilon.
        radius: window radius of the guided filter.
        eps: its regularisation.
    """

    in_channels: int = 3
    base: int = 32
    classes: int = 2
    gn_groups: int = 32
    gn_eps: float = 1e-4
    radius: int = 2
    eps: float = 0.01

    def __post_init__(self) -> None:
        for name, least in (("in_channels", 1), ("base", 1), ("classes", 2), ("gn_groups", 1), ("radius", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"AG-Net {name}", got=getattr(self, name), expected=f"at least {least}")
        if self.base % self.gn_groups:
            raise UsageError(
                "AG-Net base",
                got=f"{self.base} channels with gn_groups {self.gn_groups}",
                expected="a multiple of gn_groups",
            )


class AgNetOutputs(NamedTuple):
    """`maps`: logits (N, classes, H, W) of the four side heads, coarse to fine, and their average.

    `features`: R at H/8, H/4, H/2 and H.
    """

    maps: tuple[Tensor, ...]
    features: tuple[Tensor, ...]


def conv_norm_relu(in_channels: int, out_channels: int, config: AgNetConfig) -> nn.Sequential:
    """3x3 convolution, GroupNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.GroupNorm(config.gn_groups, out_channels, eps=config.gn_eps),
        nn.ReLU(inplace=True),
    )


def stack(widths: Iterable[int], config: AgNetConfig) -> nn.Sequential:
    """One `conv_norm_relu` between each width and the next."""
    return nn.Sequential(*(conv_norm_relu(a, b, config) for a, b in pairwise(widths)))


class GridAttention(nn.Module):
    """The gate: a = sigmoid(1x1(ReLU(1x1(guide) + 1x1(features)))), one channel.

    Args:
        channels: channels of guide and features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_guide = nn.Conv2d(channels, channels, 1)
        self.of_features = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Conv2d(channels, 1, 1)

    def forward(self, guide: Tensor, features: Tensor) -> Tensor:
        """Map two (N, C, h, w) to (N, 1, h, w) in (0, 1)."""
        query = resize(self.of_features(features), guide)  # (N, C, h, w)
        return torch.sigmoid(self.gate(F.relu(self.of_guide(guide) + query)))  # a: (N, 1, h, w)


class GuidedUp(nn.Module):
    """Decoder step: gate, guided filter to the guide's size, three convolutions to half the channels.

    Args:
        channels: channels of guide and features (C).
        config: the network's configuration.
    """

    def __init__(self, channels: int, config: AgNetConfig) -> None:
        super().__init__()
        self.config = config
        self.attention = GridAttention(channels)
        self.convs = stack((channels, channels // 2, channels // 2, channels // 2), config)

    def forward(self, features: Tensor, guide: Tensor) -> Tensor:
        """Map features (N, C, h, w) and guide FG (N, C, 2h, 2w) to R (N, C/2, 2h, 2w)."""
        guide_low = resize(guide, features)  # FG': (N, C, h, w)
        attention = self.attention(guide_low, features)  # a: (N, 1, h, w)
        up = attention_guided_filter(guide_low, features, guide, attention, self.config.radius, self.config.eps)
        return cast(Tensor, self.convs(up))  # (N, C/2, 2h, 2w)


class AgNet(nn.Module):
    """AG-Net. Raises `InvalidInput` for sides that are no multiples of 16 or below 96 px, or another channel count.

    Args:
        config: see `AgNetConfig`; the default has 9 335 340 parameters.
    """

    def __init__(self, config: AgNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AgNetConfig()
        w1, w2, w3, w4, w5 = (config.base * 2**level for level in range(5))  # 32, 64, 128, 256, 512
        self.side = nn.ModuleList(nn.Conv2d(config.in_channels, width, 3, padding=1) for width in (w2, w3, w4))
        self.encoder = nn.ModuleList(
            [
                stack((config.in_channels, w1, w1), config),
                stack((w2 + w1, w2, w2), config),
                stack((w3 + w2, w3, w3), config),
                stack((w4 + w3, w4, w4), config),
            ]
        )
        self.pool = nn.MaxPool2d(2)
        self.centre = nn.Sequential(
            nn.Conv2d(w4, w5, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(w5, w5, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
        )
        self.decoder = nn.ModuleList(GuidedUp(width, config) for width in (w5, w4, w3, w2))
        self.heads = nn.ModuleList(nn.Conv2d(width, config.classes, 1) for width in (w4, w3, w2, w1))

    def forward(self, x: Tensor) -> AgNetOutputs:
        """Map images (N, 3, H, W) to logits and features."""
        features = self.features(x)
        maps = [head(resize(r, x)) for head, r in zip(self.heads, features, strict=True)]
        average = torch.stack(maps).mean(dim=0)  # (N, classes, H, W)
        return AgNetOutputs((*maps, average), features)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return R at H/8 (256 channels), H/4 (128), H/2 (64) and H (32): all that MAGE-Net deploys."""
        check_images(x, self.config.in_channels, "AG-Net input")
        m2, m3, m4 = (
            F.relu(conv(resize_to(x, x.shape[-2] // n, x.shape[-1] // n)))
            for conv, n in zip(self.side, (2, 4, 8), strict=True)
        )  # (N, 64, H/2, W/2), (N, 128, H/4, W/4), (N, 256, H/8, W/8)
        c1 = self.encoder[0](x)  # (N, 32, H, W)
        c2 = self.encoder[1](torch.cat((m2, self.pool(c1)), dim=1))  # (N, 64, H/2, W/2)
        c3 = self.encoder[2](torch.cat((m3, self.pool(c2)), dim=1))  # (N, 128, H/4, W/4)
        c4 = self.encoder[3](torch.cat((m4, self.pool(c3)), dim=1))  # (N, 256, H/8, W/8)
        y = self.centre(self.pool(c4))  # (N, 512, H/16, W/16)
        found: list[Tensor] = []
        for step, guide in zip(self.decoder, ((m4, c4), (m3, c3), (m2, c2), (c1, c1)), strict=True):
            y = step(y, torch.cat(guide, dim=1))  # FG: 512, 256, 128, 64 channels; R: 256, 128, 64, 32
            found.append(y)
        return tuple(found)


def check_images(x: Tensor, channels: int, subject: str) -> None:
    """Refuse what the network cannot take.

    Raises:
        InvalidInput: not (N, channels, H, W), or H or W no multiple of 16 of at least 96.
    """
    if torch.jit.is_tracing() or torch.compiler.is_compiling():  # pyright: ignore[reportPrivateImportUsage]
        return
    if x.ndim != 4 or x.shape[1] != channels or any(n % 16 or n < MIN_SIDE_PX for n in x.shape[2:]):
        raise InvalidInput(
            subject,
            got=f"shape {tuple(x.shape)}",
            expected=f"(N, {channels}, H, W) with H and W multiples of 16, at least {MIN_SIDE_PX}",
            fix="pad the images by reflection",
        )
