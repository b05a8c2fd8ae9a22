"""Draw a degradation and apply one: illumination, then spots, then blur; black outside the field of view.

    image in [0, 1] -> colour -> halo -> hole -> spots -> blur -> x field of view

Seven types: the non-empty subsets of {illumination, spots, blur}. Drawing and applying are two functions, so that a
degraded image can be made again from its record alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput
from fundusrt_training.data.degradation.effects import add_halo, add_hole, add_spot, apply_blur, apply_colour
from fundusrt_training.data.degradation.record import Blur, Colour, Degradation, DegradationConfig, Halo, Hole, Spot

__all__ = ["KINDS", "Kind", "degrade", "degrade_8_bit", "draw_degradation", "draw_kinds"]

Kind = Literal["illumination", "spots", "blur"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_SIDE = 512  # px of the shorter side that lengths given in px are meant for
_TINTS = ((141 / 255, 238 / 255, 238 / 255), (177 / 255, 195 / 255, 147 / 255))


def draw_kinds(random: np.random.Generator) -> tuple[Kind, ...]:
    """Return one of the seven types, all equally likely."""
    bits = int(random.integers(1, 8))
    return tuple(kind for place, kind in enumerate(KINDS) if bits >> place & 1)


def draw_degradation(
    random: np.random.Generator,
    height: int,
    width: int,
    kinds: Sequence[Kind] | None = None,
    config: DegradationConfig | None = None,
) -> Degradation:
    """Draw what shall happen to an image.

    Args:
        random: where every number comes from.
        height: rows of the image.
        width: columns.
        kinds: the steps, or None for one of the seven types.
        config: ranges.

    Raises:
        InvalidInput: no step, an unknown one, or an image below 32 px a side.
    """
    if min(height, width) < 32:
        raise InvalidInput("degradation", got=f"{height} x {width} px", expected="at least 32 px a side", fix="enlarge")
    kinds = draw_kinds(random) if kinds is None else kinds
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise InvalidInput(
            "degradation kinds",
            got=", ".join(map(repr, unknown)) or "none",
            expected=", ".join(KINDS),
            fix="name at least one of them",
        )
    config = config or DegradationConfig()
    colour = halo = hole = blur = None
    spots: tuple[Spot, ...] = ()
    if "illumination" in kinds:
        colour = Colour(*(float(random.uniform(*r)) for r in (config.brightness, config.contrast, config.saturation)))
        halo = _draw_halo(random, height, width)
        hole = _draw_hole(random, height, width)
    if "spots" in kinds:
        count = int(random.integers(config.spots[0], config.spots[1], endpoint=True))
        spots = tuple(_draw_spot(random, height, width) for _ in range(count))
    if "blur" in kinds:
        blur = _draw_blur(random, min(height, width), config)
    return Degradation(height, width, colour, halo, hole, spots, blur)


def degrade(
    image: npt.NDArray[np.float32], fov: npt.NDArray[np.bool_], degradation: Degradation
) -> npt.NDArray[np.float32]:
    """Return the degraded image.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        fov: (H, W) bool; outside, the result is black.
        degradation: what was drawn for this size.

    Raises:
        InvalidInput: another shape, dtype, range or size than that.
    """
    _check(image, fov, degradation)
    if degradation.colour is not None:
        image = apply_colour(image, degradation.colour)
    if degradation.halo is not None:
        image = add_halo(image, degradation.halo)
    if degradation.hole is not None:
        image = add_hole(image, fov, degradation.hole)
    for spot in degradation.spots:
        image = add_spot(image, spot)
    if degradation.blur is not None:
        image = apply_blur(image, degradation.blur)
    return image * fov[..., None]


def degrade_8_bit(
    clean: npt.NDArray[np.uint8], fov: npt.NDArray[np.bool_], degradation: Degradation
) -> npt.NDArray[np.uint8]:
    """Return `degrade` of an (H, W, 3) RGB uint8 image as such an image, as a camera would have kept it."""
    values = degrade(clean.astype(np.float32) / np.float32(255.0), fov, degradation)
    return np.floor(values * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _draw_halo(random: np.random.Generator, height: int, width: int) -> Halo:
    """The outer circle depends on how far the centre is from the corners."""
    short, long = min(height, width), max(height, width)
    cy = float(random.uniform(height / 2 - height / 8, height / 2 + height / 8))
    cx = float(random.uniform(width / 2 - width / 8, width / 2 + width / 8))
    inner = short * float(random.uniform(0.75, 1.0))
    reach = math.hypot(max(cx, width - cx), max(cy, height - cy))
    largest = max(1.0, 2 * math.floor(reach) / short)
    outer = short * float(random.uniform(1.0, largest)) + abs(max(cx - width / 2, cy - height / 2) + long / 2)
    side = _odd(abs(2 * max(cx, width - cx, cy, height - cy) - inner))
    return Halo((cy, cx), inner, outer, side, _TINTS[int(random.integers(len(_TINTS)))])


def _draw_hole(random: np.random.Generator, height: int, width: int) -> Hole:
    diameter = float(random.uniform(0.4 * width, 0.7 * width))
    cx = float(random.uniform(width / 4, 3 * width / 4))
    cy = float(random.uniform(3 * height / 8, 5 * height / 8))
    sides = _odd(diameter * random.uniform(0.55, 0.75)), _odd(diameter * random.uniform(0.55, 0.75))
    return Hole((cy, cx), diameter, float(random.uniform(-0.262, -0.26)), float(random.uniform(0.05, 0.06)), sides)


def _draw_spot(random: np.random.Generator, height: int, width: int) -> Spot:
    """The model draws r, 5 to 25 px at 512, calls it a radius and makes a disc of that diameter."""
    scale = min(height, width) / _SIDE
    r = int(random.integers(math.ceil(0.01 * _SIDE), int(0.05 * _SIDE), endpoint=True))
    share = r / 25
    peak = (14 / 25 + 1 - share) * (1 - math.exp(-(0.5 + share) * 0.3 * share))
    sigma = 2 * (5 + 20 * share)
    low, high = int(sigma / 5), int(sigma / 4)
    sides = tuple(_odd(scale * random.integers(low, high, endpoint=True)) for _ in range(2))
    margin = r * scale + 1
    centre = float(random.uniform(margin, height - margin)), float(random.uniform(margin, width - margin))
    return Spot(centre, r * scale, peak, (sides[0], sides[1]), sigma * scale)


def _draw_blur(random: np.random.Generator, short: int, config: DegradationConfig) -> Blur:
    sigma = float(random.uniform(*config.blur_sigma))
    scale = short / _SIDE if config.blur_lengths == "frame" else 1.0
    low, high = int(sigma / 3), int(sigma / 2)
    sides = tuple(_odd(scale * random.integers(low, high, endpoint=True)) for _ in range(2))
    return Blur(sigma * scale, (sides[0], sides[1]), config.noise_sigma, int(random.integers(2**31)))


def _odd(length: Any) -> int:
    """Return the kernel side for a length in px: the whole number below, made odd upwards, at least 1."""
    return int(length) // 2 * 2 + 1


def _check(image: npt.NDArray[Any], fov: npt.NDArray[Any], degradation: Degradation) -> None:
    size = (degradation.height, degradation.width)
    if image.dtype != np.float32 or image.shape != (*size, 3):
        raise InvalidInput(
            "image to degrade",
            got=f"shape {image.shape} {image.dtype}",
            expected=f"{(*size, 3)} float32, the size that was drawn for",
            fix="draw a degradation for this image",
        )
    if not (image.min() >= 0.0 and image.max() <= 1.0):
        raise InvalidInput(
            "image to degrade",
            got=f"values from {image.min():g} to {image.max():g}",
            expected="values in [0, 1]",
            fix="divide 8-bit values by 255",
        )
    if fov.dtype != np.bool_ or fov.shape != size:
        raise InvalidInput(
            "field of view", got=f"shape {fov.shape} {fov.dtype}", expected=f"{size} bool", fix="threshold the mask"
        )
