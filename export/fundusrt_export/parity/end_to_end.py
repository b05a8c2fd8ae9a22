"""R5 of the systems that see one frame: the deployed pipeline against the whole system in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fundusrt.agreement import largest_difference, measured
from fundusrt.certificate import Measurement, Rung
from fundusrt.enhancement_pipeline import EnhancementPipeline
from fundusrt.exudate_pipeline import ExudatePipeline
from fundusrt.image import FundusImage
from fundusrt.ladder import limit_of
from fundusrt_export.parity.frame_reference import EnhancementReference, ExudateReference
from fundusrt_export.parity.inputs import array_sha256

__all__ = ["LEVEL_LIMIT", "NAME", "enhancement_end_to_end", "exudate_end_to_end"]

NAME = "end-to-end"
COMPARES = "the whole system in plain PyTorch as trained, and the pipeline over the exported file"
# Beyond the half level of rounding: the map's limit in grey levels, of a change of at most 3 white levels.
LEVEL_LIMIT = 0.5 + 3 * 255 * limit_of(NAME, "frame").value


def exudate_end_to_end(
    pipeline: ExudatePipeline, reference: Sequence[ExudateReference], images: Sequence[FundusImage]
) -> Rung:
    """Compare the network's map, the map at the image's size and the mask of each image.

    Args:
        pipeline: the SDK's pipeline over the exported file.
        reference: `run_exudate_reference` of each image with the training network.
        images: the images.

    Returns:
        The largest |difference| of each map over all images, limit 1e-4, and the largest share of mask pixels that
        differ.
    """
    p_frame = p_image = flipped = 0.0
    for image, expected in zip(images, reference, strict=True):
        p_frame = max(p_frame, largest_difference(expected.p_frame, pipeline.run_frame(expected.frame)))
        made = pipeline(image)
        p_image = max(p_image, largest_difference(expected.probability, made.probability))
        same_shape = made.mask.shape == expected.mask.shape
        flipped = max(flipped, float(np.mean(made.mask != expected.mask)) if same_shape else 1.0)
    return _rung(
        images,
        measured(NAME, "map", p_frame, "map on the frame"),
        measured(NAME, "map", p_image, "map at image size"),
        measured(NAME, "flipped", flipped, "mask"),
    )


def enhancement_end_to_end(
    pipeline: EnhancementPipeline, reference: Sequence[EnhancementReference], images: Sequence[FundusImage]
) -> Rung:
    """Compare the network's answer on the frame and the enhanced image of each image.

    Args:
        pipeline: the SDK's pipeline over the exported file.
        reference: `run_enhancement_reference` of each image with the training network.
        images: the images.

    Returns:
        The largest |difference| on the frame over the range of all answers (at least 1), limit 1e-4, and the largest
        share of samples that are off by more than rounding, `LEVEL_LIMIT`.
    """
    on_frame, off = 0.0, 0.0
    for image, expected in zip(images, reference, strict=True):
        difference = largest_difference(expected.enhanced, pipeline.run_frame(expected.frame))
        on_frame = max(on_frame, difference / max(1.0, float(np.ptp(expected.enhanced))))
        made = pipeline(image).image
        same_shape = made.shape == expected.image.shape
        off = max(off, float(np.mean(np.abs(made - expected.image) > LEVEL_LIMIT)) if same_shape else 1.0)
    return _rung(
        images,
        measured(NAME, "frame", on_frame, "frame"),
        measured(NAME, "off", off, "image"),
    )


def _rung(images: Sequence[FundusImage], *measurements: Measurement) -> Rung:
    inputs = {image.source_id: array_sha256(image.pixels) for image in images}
    return Rung(name=NAME, compares=COMPARES, inputs=inputs, measurements=measurements)
