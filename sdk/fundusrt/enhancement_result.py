"""What the enhancement pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fundusrt.provenance import Provenance, Quality
from fundusrt.result_files import Result

__all__ = ["EnhancementResult"]


@dataclass(frozen=True, repr=False)
class EnhancementResult(Result):
    """The enhanced image. The array belongs to the caller.

    `save` writes `_enhanced.png` and `_result.json`.

    Attributes:
        image: (H, W, 3) uint8 RGB at the image's own size; outside the field of view the pixels of the original.
        mean_change: mean absolute difference from the original inside the field of view, in 8-bit grey levels.
        field_of_view_px: number of pixels inside the field of view.
        timings_ms: milliseconds of each stage, in the order they ran.
        provenance: bundle, backend, device, precision and versions that made it.
        quality: whether there was an eye to enhance; if not, the image is the original.
    """

    FORMAT: ClassVar = "fundusrt-enhancement"
    PICTURES: ClassVar = ("enhanced",)

    image: npt.NDArray[np.uint8]
    mean_change: float
    field_of_view_px: int
    timings_ms: dict[str, float]
    provenance: Provenance
    quality: Quality

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        grade = self.finding() if self.quality.gradable else "ungradable"
        return f"EnhancementResult({self.provenance.source!r}, {height} x {width} px, {grade})"

    def pictures(self) -> dict[str, npt.NDArray[Any]]:
        """Return the enhanced image."""
        return {"enhanced": self.image}

    def finding(self) -> str:
        """Return how much was changed."""
        return f"enhanced, mean change {self.mean_change:.1f} grey levels"

    def facts(self) -> dict[str, Any]:
        """Return the field of view and how much was changed."""
        return {"field_of_view_px": self.field_of_view_px, "mean_change_grey_levels": self.mean_change}
