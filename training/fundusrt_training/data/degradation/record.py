"""What was drawn for one image, as plain numbers; lengths are px of that image.

The model (Shen et al. 2020, "Cofe-Net", sections III-A to III-C) is made for 512 px; lengths it gives in px grow with
the shorter side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from fundusrt.errors import UsageError
from fundusrt_training import configuration

__all__ = ["BLUR_LENGTHS", "Blur", "BlurLengths", "Colour", "Degradation", "DegradationConfig", "Halo", "Hole", "Spot"]

Point = tuple[float, float]
BlurLengths = Literal["frame", "pixels"]
BLUR_LENGTHS: tuple[BlurLengths, ...] = get_args(BlurLengths)


@dataclass(frozen=True)
class Colour:
    """Factors of brightness, contrast and saturation, applied in this order."""

    brightness: float
    contrast: float
    saturation: float


@dataclass(frozen=True)
class Halo:
    """A soft tinted ring between two circles around `centre` (y, x)."""

    centre: Point
    inner_diameter: float
    outer_diameter: float
    blur_side: int
    tint: tuple[float, float, float]


@dataclass(frozen=True)
class Hole:
    """A soft dark disc around `centre` (y, x): depth `level` - `share` m, for an image whose mean m is above 0.25."""

    centre: Point
    diameter: float
    level: float
    share: float
    blur_sides: tuple[int, int]


@dataclass(frozen=True)
class Spot:
    """A soft bright disc around `centre` (y, x)."""

    centre: Point
    diameter: float
    height: float
    blur_sides: tuple[int, int]
    sigma: float


@dataclass(frozen=True)
class Blur:
    """A Gaussian of `sigma`, cut off at `sides` (columns, rows), then noise of `noise_sigma` from `noise_seed`."""

    sigma: float
    sides: tuple[int, int]
    noise_sigma: float
    noise_seed: int


@dataclass(frozen=True)
class Degradation:
    """Everything that was drawn for one image; None or empty is a step left out.

    Attributes:
        height: rows of the image it was drawn for.
        width: columns.
        colour: first part of the illumination.
        halo: second part.
        hole: third part.
        spots: added after the illumination.
        blur: last step.
    """

    height: int
    width: int
    colour: Colour | None = None
    halo: Halo | None = None
    hole: Hole | None = None
    spots: tuple[Spot, ...] = ()
    blur: Blur | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return configuration.to_dict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Degradation:
        """Return what `to_dict` wrote. Raises UsageError for anything else."""
        return configuration.from_dict(cls, data, "degradation")


@dataclass(frozen=True)
class DegradationConfig:
    """What the draws range over; defaults are the model's, but for the number of spots, which is MAGE-Net's.

    Args:
        brightness: range of the factor.
        contrast: range of the factor.
        saturation: range of the factor.
        spots: least and largest number of spots (the model's own code has 5 to 10).
        blur_sigma: range in px at 512.
        blur_lengths: whether the blur's lengths in px grow with the `frame`'s shorter side, or are px of any image
            (`pixels`): in a frame of 128 px, a kernel that shrank along would often be one pixel, and change nothing.
        noise_sigma: of noise added after the blur, in [0, 1] (in the model's formula, not in its code).
    """

    brightness: tuple[float, float] = (0.7, 1.2)
    contrast: tuple[float, float] = (0.6, 1.4)
    saturation: tuple[float, float] = (0.6, 1.4)
    spots: tuple[int, int] = (10, 30)
    blur_sigma: tuple[float, float] = (5.0, 15.0)
    blur_lengths: BlurLengths = "frame"
    noise_sigma: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "spots", "blur_sigma"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise UsageError(f"degradation.{name}", got=(low, high), expected="two values, 0 <= low <= high")
        if self.blur_lengths not in BLUR_LENGTHS:
            raise UsageError(
                "degradation.blur_lengths", got=repr(self.blur_lengths), expected=" or ".join(BLUR_LENGTHS)
            )
        if not self.noise_sigma >= 0:
            raise UsageError("degradation.noise_sigma", got=self.noise_sigma, expected="at least 0")
