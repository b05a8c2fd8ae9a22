"""Last rung: the deployed pipeline, end to end, against the whole system in plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fundusrt.agreement import at_most, largest_difference
from fundusrt.certificate import Measurement, Rung
from fundusrt.image import FundusImage
from fundusrt.pipeline import SegmentationPipeline
from fundusrt_export.parity.inputs import array_sha256
from fundusrt_export.parity.reference import ReferenceMaps

__all__ = ["FLIPPED_LIMIT", "LIMIT", "NAME", "tiled_to_stitched"]

NAME = "tiled-to-stitched"
LIMIT = 1e-4
# A probability within rounding of the threshold may fall on either side; CGNR can carry that to a neighbour. 10 px a
# megapixel.
FLIPPED_LIMIT = 1e-5


def tiled_to_stitched(
    pipeline: SegmentationPipeline, reference: Sequence[ReferenceMaps], images: Sequence[FundusImage]
) -> Rung:
    """Compare both maps at the image's size, the stitched grid, and the final mask of each image.

    Args:
        pipeline: the SDK's pipeline over the exported files.
        reference: `run_reference` of each image with the library-form networks.
        images: the images.

    Returns:
        The largest |difference| of each map over all images, limit 1e-4, and the largest share of mask pixels that
        differ.
    """
    worst: dict[str, float] = {}
    flipped = 0.0
    for image, expected in zip(images, reference, strict=True):
        whole, grid = pipeline.run_whole(expected.whole), pipeline.run_tiles(expected.grid)
        made: Mapping[str, tuple[np.ndarray, np.ndarray]] = {
            "whole-image map": (expected.p_whole, whole),
            "stitched tile map": (expected.p_grid, grid),
            "whole-image map at image size": (expected.p_large, pipeline.upsample(whole, image.height, image.width)),
            "stitched tile map at image size": (expected.p_small, pipeline.upsample(grid, image.height, image.width)),
        }
        for name, (truth, values) in made.items():
            worst[name] = max(worst.get(name, 0.0), largest_difference(truth, values))
        mask = pipeline(image).mask
        share = float(np.mean(mask != expected.mask)) if mask.shape == expected.mask.shape else 1.0
        flipped = max(flipped, share)
    measurements: list[Measurement] = [
        at_most(f"{name}: max |difference|", value, LIMIT) for name, value in worst.items()
    ]
    measurements.append(at_most("mask: share of pixels that differ", flipped, FLIPPED_LIMIT))
    return Rung(
        name=NAME,
        compares="the whole system in plain PyTorch with pytorch_wavelets, and the pipeline over the exported files",
        inputs={image.source_id: array_sha256(image.pixels) for image in images},
        measurements=tuple(measurements),
    )
