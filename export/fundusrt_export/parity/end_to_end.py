"""R5 of the systems that see one frame: the deployed pipeline against the whole system in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fundusrt.agreement import at_most, largest_difference
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
LIMIT = limit_of(NAME, "difference").value
FLIPPED_LIMIT = limit_of(NAME, "flipped").value
# Beyond the half level of rounding: LIMIT in grey levels, of a change of at most 3 white levels.
LEVEL_LIMIT = 0.5 + 3 * 255 * LIMIT


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
        at_most("map on the frame: max |difference|", p_frame, LIMIT),
        at_most("map at image size: max |difference|", p_image, LIMIT),
        at_most("mask: share of pixels that differ", flipped, FLIPPED_LIMIT),
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
        at_most("frame: max |difference| / range", on_frame, LIMIT),
        at_most(f"image: share of samples off by more than {LEVEL_LIMIT:.2f} grey levels", off, FLIPPED_LIMIT),
    )


def _rung(images: Sequence[FundusImage], *measurements: Measurement) -> Rung:
    inputs = {image.source_id: array_sha256(image.pixels) for image in images}
    return Rung(name=NAME, compares=COMPARES, inputs=inputs, measurements=measurements)
