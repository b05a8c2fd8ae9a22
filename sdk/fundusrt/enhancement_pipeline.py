"""MAGE-Net on one image: the frame through the network, its answer brought to the image's own size.

    read_image -> frame around the field of view -> network -> native size (`native_enhancement`) -> enhanced image

One frame, no tiles, so no seams. The network is not bounded: values outside [0, 1] are clipped in the end, values far
outside are refused.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fundusrt.enhancement_result import EnhancementResult
from fundusrt.frame_pipeline import FramePipeline, cut_frame
from fundusrt.image_pipeline import ImageInput, no_field_reason
from fundusrt.manifest import MageNetManifest
from fundusrt.native_enhancement import NATIVE, rgb_8_bit
from fundusrt.provenance import Quality
from fundusrt.stages import StageTimer

__all__ = ["EnhancementPipeline"]

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]

# A whole white level beyond either end is no enhancement any more.
_WITHIN = (-1.0, 2.0)


class EnhancementPipeline(FramePipeline[MageNetManifest, EnhancementResult]):
    """One enhancement network over the frame of an image; keeps nothing of an image."""

    def __call__(self, image: ImageInput) -> EnhancementResult:
        """Enhance one image.

        Args:
            image: a file, an (H, W) or (H, W, 3) RGB uint8/uint16 array, or a FundusImage. Grey is enhanced as a colour
                image of equal channels. 16 bit is reduced to 8 for the network only; the result has 8 bits.

        Raises:
            InvalidInput: the image cannot be used.
            BackendUnavailable: the network failed, or answered no image.
        """
        timer = StageTimer()
        options = self.manifest.postprocess.model_dump()
        with timer.stage("decode"):
            eye = self.open_image(image)
        original = rgb_8_bit(eye)
        if not eye.fov.any():
            quality, provenance = (
                Quality(False, (no_field_reason(eye),)),
                self._provenance(eye, None, options, timer.ms),
            )
            return EnhancementResult(original, 0.0, 0, timer.ms, provenance, quality)
        with timer.stage("frame"):
            frame, pixels = cut_frame(eye, self.manifest)
        with timer.stage("network"):
            enhanced = self.run_frame(pixels)
        with timer.stage("native"):
            made = NATIVE[self.manifest.postprocess.to_native](eye, frame, pixels, enhanced)
            change, size = _mean_change(original, made, eye.fov), int(np.count_nonzero(eye.fov))
        return EnhancementResult(
            made, change, size, timer.ms, self._provenance(eye, frame, options, timer.ms), Quality(True)
        )

    def run_frame(self, pixels: Bytes) -> Values:
        """Run the network on a (height_px, width_px[, 3]) uint8 frame; returns its (3, h, w) float32 RGB answer."""
        low, high = _WITHIN
        return self._answer(pixels, within=_WITHIN, expected=f"an image of values around [0, 1], {low:g} to {high:g}")


def _mean_change(before: Bytes, after: Bytes, fov: npt.NDArray[np.bool_]) -> float:
    """Return the mean absolute difference inside the field of view; outside, nothing differs."""
    import cv2

    return float(cv2.norm(before, after, cv2.NORM_L1)) / (3 * int(np.count_nonzero(fov)))
