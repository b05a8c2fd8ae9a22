"""Settings of the angiogram generator: every number that shapes an image and is worth turning."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from fundusrt.errors import InvalidInput

__all__ = ["AngiogramConfig"]


@dataclasses.dataclass(frozen=True)
class AngiogramConfig:
    """Ranges the generator draws from; lengths are for a 3072 x 3900 image and scale with the size asked for.

    leak_free_fraction: share of images without any leakage, [0, 1].
    coverage_range: smallest and largest share of the field of view to be covered by leakage, 0 < low < high < 0.5.
    coverage_median: median of the (clipped) log-normal law of the coverage, within coverage_range.
    coverage_log_sigma: spread of the same law, in natural-log units.
    min_contrast: visibility limit; half the lesion amplitude over the local background without vessels.
    min_increment_grey: visibility limit; half the lesion amplitude in grey levels of the finished image.
    min_light: pixels of which lids, lashes and rim leave less than this share of the light are never leakage.
    background_grey: low, median, high of the grey level of well lit background.
    vessel_grey: low, high of the grey level of the widest vessel where well lit.
    confuser_rate: multiplies the expected number of every look-alike of leakage; 0 turns them off.
    lash_probability, lid_probability: share of images that have lashes, lids.
    jpeg_probability: share of images that go through JPEG compression.
    jpeg_quality: lowest and highest JPEG quality, 1..100.
    """

    leak_free_fraction: float = 0.1
    coverage_range: tuple[float, float] = (0.003, 0.2)
    coverage_median: float = 0.023
    coverage_log_sigma: float = 0.9
    min_contrast: float = 0.4
    min_increment_grey: float = 5.0
    min_light: float = 0.12
    background_grey: tuple[float, float, float] = (15.0, 30.0, 62.0)
    vessel_grey: tuple[float, float] = (150.0, 290.0)
    confuser_rate: float = 1.0
    lash_probability: float = 0.8
    lid_probability: float = 0.6
    jpeg_probability: float = 0.8
    jpeg_quality: tuple[int, int] = (72, 96)

    def __post_init__(self) -> None:
        """Raise InvalidInput for a setting outside its range."""
        for name in ("leak_free_fraction", "lash_probability", "lid_probability", "jpeg_probability", "min_light"):
            _within(name, getattr(self, name), 0.0, 1.0)
        low, high = self.coverage_range
        _within("coverage_range[1]", high, 0.0, 0.5)
        _within("coverage_range[0]", low, 1e-6, high)
        _within("coverage_median", self.coverage_median, low, high)
        _within("coverage_log_sigma", self.coverage_log_sigma, 0.0, 5.0)
        _within("min_contrast", self.min_contrast, 0.0, 10.0)
        _within("min_increment_grey", self.min_increment_grey, 0.0, 128.0)
        _within("confuser_rate", self.confuser_rate, 0.0, 10.0)
        for name in ("background_grey", "vessel_grey", "jpeg_quality"):
            values = getattr(self, name)
            if list(values) != sorted(values) or values[0] < 1:
                raise InvalidInput(
                    f"AngiogramConfig.{name}", got=values, expected="ascending values of at least 1", fix="sort them"
                )
        _within("jpeg_quality[1]", self.jpeg_quality[1], 1, 100)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain types for JSON."""
        return dataclasses.asdict(self)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidInput(
            f"AngiogramConfig.{name}", got=value, expected=f"{low} to {high}", fix="choose a value in that range"
        )
