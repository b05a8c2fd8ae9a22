"""SS-MAF on one image: the frame through the network, its probability back at the image's size, mask and lesions.

    read_image -> frame around the field of view -> network -> native size -> x field of view -> mask -> lesions

The class probabilities are computed inside the exported graph (softmax; SS-MAF paper, test time uses the segmentation
stream alone).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fundusrt.field_frame import FieldFrame
from fundusrt.frame_pipeline import FramePipeline, cut_frame
from fundusrt.image_pipeline import ImageInput, no_field_reason
from fundusrt.lesions import find_lesions
from fundusrt.manifest import SsMafManifest
from fundusrt.provenance import Quality
from fundusrt.results import SegmentationResult
from fundusrt.stages import StageTimer

__all__ = ["ExudatePipeline"]

Bytes = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]


class ExudatePipeline(FramePipeline[SsMafManifest, SegmentationResult]):
    """One segmentation network over the frame of an image; keeps nothing of an image."""

    def __call__(self, image: ImageInput) -> SegmentationResult:
        """Segment one image.

        Args:
            image: a file, an (H, W) or (H, W, 3) RGB uint8/uint16 array, or a FundusImage. 16 bit is reduced to 8.

        Raises:
            InvalidInput: the image cannot be used.
            BackendUnavailable: the network failed, or answered no probabilities.
        """
        timer = StageTimer()
        options = self.manifest.postprocess.model_dump()
        with timer.stage("decode"):
            eye = self.open_image(image)
        if not eye.fov.any():
            provenance = self._provenance(eye, None, options, timer.ms)
            return SegmentationResult.ungradable(eye, timer.ms, provenance, no_field_reason(eye))
        with timer.stage("frame"):
            frame, pixels = cut_frame(eye, self.manifest)
        with timer.stage("network"):
            values = self.run_frame(pixels)
        with timer.stage("upsample"):
            probability = self.to_native(frame, values)
            probability *= eye.fov
            mask = probability >= np.float32(self.manifest.postprocess.threshold)
        with timer.stage("lesions"):
            lesions = find_lesions(mask, probability, eye.mm_per_px)
        provenance = self._provenance(eye, frame, options, timer.ms)
        return SegmentationResult(mask, probability, lesions, timer.ms, provenance, Quality(True), eye)

    def run_frame(self, pixels: Bytes) -> Map:
        """Run the network on a (height_px, width_px[, 3]) uint8 frame; returns its (h, w) float32 map in [0, 1]."""
        return self._answer(pixels, within=(0.0, 1.0), expected="probabilities in [0, 1]")[0]

    def to_native(self, frame: FieldFrame, values: Map) -> Map:
        """Return a map of the frame as (H, W) float32 of the image's size, by the manifest's interpolation."""
        return frame.to_native(values, self.manifest.postprocess.upsample)
