"""What a segmentation pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from fundusrt.provenance import Provenance, Quality
from fundusrt.result_files import Result

if TYPE_CHECKING:
    from fundusrt.image import FundusImage
    from fundusrt.lesions import Lesion

__all__ = ["SegmentationResult"]

_TINT = (255, 64, 64)


@dataclass(frozen=True, repr=False)
class SegmentationResult(Result):
    """The answer for one image. The arrays belong to the caller.

    `save` writes `_mask.png` (0/255), `_overlay.png`, `_probability.png` (16 bit) and `_result.json`.

    Attributes:
        mask: (H, W) bool at the image's own size; false outside the field of view.
        probability: (H, W) float32 in [0, 1]; 0 outside the field of view.
        lesions: the connected parts of the mask, largest first.
        timings_ms: milliseconds of each stage, in the order they ran.
        provenance: bundle, backend, device, precision and versions that made it.
        quality: whether the image could be graded; an ungradable image has an empty mask.
        image: the pixels and field of view the answer is about.
    """

    FORMAT: ClassVar = "fundusrt-segmentation"
    PICTURES: ClassVar = ("mask", "overlay", "probability")

    mask: npt.NDArray[np.bool_]
    probability: npt.NDArray[np.float32]
    lesions: list[Lesion]
    timings_ms: dict[str, float]
    provenance: Provenance
    quality: Quality
    image: FundusImage

    @classmethod
    def ungradable(
        cls, image: FundusImage, timings_ms: dict[str, float], provenance: Provenance, reason: str
    ) -> SegmentationResult:
        """Return the answer to an image that cannot be graded: no probability, no mask, no lesions."""
        shape = (image.height, image.width)
        nothing, nowhere = np.zeros(shape, bool), np.zeros(shape, np.float32)
        return cls(nothing, nowhere, [], timings_ms, provenance, Quality(False, (reason,)), image)

    def __repr__(self) -> str:
        height, width = self.mask.shape
        found = f"{len(self.lesions)} lesions, {self.area_fraction:.2%} of the field"
        grade = found if self.quality.gradable else "ungradable"
        return f"SegmentationResult({self.provenance.source!r}, {height} x {width} px, {grade})"

    @property
    def area_px(self) -> int:
        """Number of mask pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def fov_area_px(self) -> int:
        """Number of pixels inside the field of view."""
        return int(np.count_nonzero(self.image.fov))

    @property
    def area_fraction(self) -> float:
        """Mask pixels over field-of-view pixels; 0 where there is no field of view."""
        return self.area_px / self.fov_area_px if self.fov_area_px else 0.0

    def overlay(self) -> npt.NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB: the image, lesions tinted and outlined."""
        import cv2

        pixels = self.image.pixels
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        rgb = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels.copy()
        outline_px = max(1, round(max(rgb.shape[:2]) / 1300))
        rgb[self.mask] = (0.7 * rgb[self.mask] + 0.3 * np.array(_TINT)).round().astype(np.uint8)
        contours, _ = cv2.findContours(self.mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(rgb, contours, -1, _TINT, outline_px)
        return np.asarray(rgb, np.uint8)

    def pictures(self) -> dict[str, npt.NDArray[Any]]:
        """Return mask (0/255), overlay and probability (16 bit)."""
        scaled = np.multiply(self.probability, np.float32(65535.0))
        return {
            "mask": self.mask.view(np.uint8) * np.uint8(255),
            "overlay": self.overlay(),
            "probability": np.rint(scaled, out=scaled).astype(np.uint16),
        }

    def finding(self) -> str:
        """Return number and area of the lesions."""
        count = len(self.lesions)
        share = f"{100.0 * self.area_fraction:.2f} % of the field"
        return f"{count} lesion{'' if count == 1 else 's'}, {self.area_px} px, {share}"

    def facts(self) -> dict[str, Any]:
        """Return areas and lesions."""
        return {
            "area_px": self.area_px,
            "field_of_view_px": self.fov_area_px,
            "area_fraction": self.area_fraction,
            "lesions": [lesion.to_dict() for lesion in self.lesions],
        }
