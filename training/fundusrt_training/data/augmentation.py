"""Random flips and colour jitter of a tile and of the whole image it comes from (CMWNet paper, Methods).

A few pairs can be blank exposures instead, one grey level without leakage: a network that never saw one may find
anything in it, and amplifies rounding errors while it does.

One draw serves the pair: the consistency term compares the two branches pixel by pixel, so both must see the same
picture. The contrast change pivots on one grey level for both, the whole image's mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fundusrt.errors import UsageError

__all__ = ["AugmentationConfig", "AugmentationDraw", "adjust_hue", "draw_augmentation", "flip", "jitter"]

# ITU-R BT.601 luma, the same weights as OpenCV's RGB to grey
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class AugmentationConfig:
    """Strengths.

    Args:
        hflip: probability of a left-right flip.
        jitter: brightness, contrast, saturation (factors from U(1 - v, 1 + v)) and hue (shift from U(-v, v) turns).
        vflip: probability of a top-bottom flip; not in the paper.
        brightness_scale: s > 0 multiplies by a factor drawn log-uniformly from [1 / (1 + s), 1 + s]; not in the paper.
        gamma: g > 0 raises grey levels to a power drawn log-uniformly from [1 / (1 + g), 1 + g], before all colour
            changes; not in the paper.
        blank: probability that a pair is a blank exposure with empty masks, its grey level from U(-0.2, 1.2) clipped to
            [0, 1]; not in the paper.
    """

    hflip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.2, 0.2, 0.2, 0.05)
    vflip: float = 0.0
    brightness_scale: float = 0.0
    gamma: float = 0.0
    blank: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hflip", "vflip", "blank"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"aug.{name}", got=getattr(self, name), expected="a probability, 0 to 1")
        for name, value, top in zip(
            ("brightness", "contrast", "saturation", "hue"), self.jitter, (1, 1, 1, 0.5), strict=True
        ):
            if not 0 <= value <= top:
                raise UsageError(f"aug.jitter ({name})", got=value, expected=f"0 to {top}")
        for name in ("brightness_scale", "gamma"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"aug.{name}", got=getattr(self, name), expected="at least 0")


@dataclass(frozen=True)
class AugmentationDraw:
    """What is done to one pair: flips, factors, hue shift in turns, the order of the four jitter steps, and a power.

    `blank` is the grey level in [0, 1] that replaces the picture, or None.
    """

    hflip: bool
    vflip: bool
    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: tuple[int, ...]
    gamma: float = 1.0
    blank: float | None = None


def draw_augmentation(config: AugmentationConfig, seed: tuple[int, ...]) -> AugmentationDraw:
    """Return the draw that belongs to a seed; the same seed gives the same draw in every mode and process."""
    random = np.random.default_rng(seed)
    flips = random.random(2)
    spread = random.uniform(-1.0, 1.0, 5)
    brightness, contrast, saturation = (1.0 + v * s for v, s in zip(config.jitter[:3], spread[:3], strict=True))
    brightness *= (1.0 + config.brightness_scale) ** spread[4]
    order = tuple(int(i) for i in random.permutation(4))
    coin, level = random.random(), random.uniform(-0.2, 1.2)
    power = random.uniform(-1.0, 1.0)
    return AugmentationDraw(
        hflip=bool(flips[0] < config.hflip),
        vflip=bool(flips[1] < config.vflip),
        brightness=float(brightness),
        contrast=float(contrast),
        saturation=float(saturation),
        hue=float(config.jitter[3] * spread[3]),
        order=order,
        gamma=float((1.0 + config.gamma) ** power),
        blank=float(np.clip(level, 0, 1)) if coin < config.blank else None,
    )


def flip(image: Tensor, draw: AugmentationDraw) -> Tensor:
    """Flip the last two axes of an image or mask."""
    axes = [axis for axis, wanted in ((-2, draw.vflip), (-1, draw.hflip)) if wanted]
    return torch.flip(image, axes) if axes else image


def flip_window(window: tuple[float, float, float, float], draw: AugmentationDraw) -> tuple[float, float, float, float]:
    """Return where a window (y0, x0, y1, x1, fractions of the image) lies once the image is flipped."""
    y0, x0, y1, x1 = window
    if draw.vflip:
        y0, y1 = 1 - y1, 1 - y0
    if draw.hflip:
        x0, x1 = 1 - x1, 1 - x0
    return y0, x0, y1, x1


def jitter(image: Tensor, draw: AugmentationDraw, pivot: float) -> Tensor:
    """Apply the power, then change brightness, contrast, saturation and hue, clipped to [0, 1] after each step.

    Args:
        image: (1, H, W) grey or (3, H, W) RGB float32 in [0, 1]. Saturation and hue do nothing to grey.
        draw: the factors.
        pivot: grey level in [0, 1] that a contrast change leaves as it is.

    Returns:
        A new tensor of the same shape.
    """
    image = image.clone(memory_format=torch.contiguous_format)
    if draw.gamma != 1.0:
        image.pow_(draw.gamma)
    for step in draw.order:
        if step == 0:
            image.mul_(draw.brightness).clamp_(0, 1)
        elif step == 1:
            image.mul_(draw.contrast).add_((1 - draw.contrast) * pivot).clamp_(0, 1)
        elif step == 2 and image.shape[0] == 3:
            grey = sum(weight * plane for weight, plane in zip(LUMA, image, strict=True))
            image = torch.lerp(torch.as_tensor(grey).expand_as(image), image, draw.saturation).clamp_(0, 1)
        elif step == 3 and image.shape[0] == 3:
            image = adjust_hue(image, draw.hue)
    return image


def adjust_hue(image: Tensor, turns: float) -> Tensor:
    """Rotate the hue of (3, H, W) RGB in [0, 1] by a fraction of a turn; value and saturation (HSV) stay.

    With V the largest and C the range of the channels, channel n of a colour of hue h (in sixths of a turn) is
    V - C clip(min(k, 4 - k), 0, 1), k = (n + h) mod 6, n = 5, 3, 1 for red, green, blue.
    """
    if turns == 0:
        return image
    value, which = image.max(dim=0)
    chroma = value - image.min(dim=0).values
    red, green, blue = image
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    sixths = torch.where(
        which == 0, (green - blue) / safe, torch.where(which == 1, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    )
    sixths = sixths + 6 * turns
    planes: list[Tensor] = []
    for n in (5, 3, 1):
        k = torch.remainder(n + sixths, 6)
        planes.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(planes).clamp_(0, 1)
