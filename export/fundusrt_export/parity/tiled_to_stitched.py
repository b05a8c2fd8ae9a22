"""R5 of systems with tiles: the deployed pipeline, end to end, against the whole system in plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fundusrt.agreement import largest_difference, measured
from fundusrt.certificate import Rung
from fundusrt.image import FundusImage
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.tile_agreement import seam_difference
from fundusrt_export.parity.inputs import array_sha256
from fundusrt_export.parity.reference import ReferenceMaps

__all__ = ["BATCH", "NAME", "tiled_to_stitched"]

NAME = "tiled-to-stitched"
BATCH = 3
"""Tiles per call in the second run: of most grids the last batch is not full then."""


def tiled_to_stitched(
    pipeline: SegmentationPipeline, reference: Sequence[ReferenceMaps], images: Sequence[FundusImage]
) -> Rung:
    """Compare both maps at the image's size, the stitched grid and its seams, and the final mask of each image.

    Args:
        pipeline: the SDK's pipeline over the exported files.
        reference: `run_reference` of each image with the library-form networks.
        images: the images.

    Returns:
        The largest |difference| of each map over all images, limit 1e-4, among them the stitched map in batches; of the
        jumps across the borders of tiles, limit 1e-4; the share of pixels that change sides when the grid moves by half
        a tile, as far as PyTorch's share is another; and the largest share of mask pixels that differ.
    """
    worst: dict[str, float] = {}
    seam = flipped = turned = 0.0
    threshold = pipeline.manifest.postprocess.threshold
    batched = SegmentationPipeline(pipeline.manifest, pipeline.large, pipeline.small, {}, batch=BATCH)
    for image, expected in zip(images, reference, strict=True):
        whole, grid = pipeline.run_whole(expected.whole), pipeline.run_tiles(expected.grid)
        shifted = pipeline.run_tiles(expected.shifted.pixels)
        made: Mapping[str, tuple[np.ndarray, np.ndarray]] = {
            "whole-image map": (expected.p_whole, whole),
            "stitched tile map": (expected.p_grid, grid),
            f"stitched tile map, batches of {BATCH}": (expected.p_grid, batched.run_tiles(expected.grid)),
            "stitched tile map, grid moved by half a tile": (expected.p_shifted, shifted),
            "whole-image map at image size": (expected.p_large, pipeline.upsample(whole, image.height, image.width)),
            "stitched tile map at image size": (expected.p_small, pipeline.upsample(grid, image.height, image.width)),
        }
        for name, (truth, values) in made.items():
            worst[name] = max(worst.get(name, 0.0), largest_difference(truth, values))
        seam = max(seam, seam_difference(expected.p_grid, grid, pipeline.manifest.tile.size))
        shares = (
            float(np.mean((expected.shifted.of(on_grid) >= threshold) != (moved >= threshold)))
            for on_grid, moved in ((expected.p_grid, expected.p_shifted), (grid, shifted))
        )
        turned = max(turned, abs(next(shares) - next(shares)))
        mask = pipeline(image).mask
        share = float(np.mean(mask != expected.mask)) if mask.shape == expected.mask.shape else 1.0
        flipped = max(flipped, share)
    measurements = [measured(NAME, "difference", value, name) for name, value in worst.items()]
    measurements.append(measured(NAME, "seam", seam))
    measurements.append(measured(NAME, "moved", turned))
    measurements.append(measured(NAME, "flipped", flipped, "mask"))
    return Rung(
        name=NAME,
        compares="the whole system in plain PyTorch with pytorch_wavelets, and the pipeline over the exported files",
        inputs={image.source_id: array_sha256(image.pixels) for image in images},
        measurements=tuple(measurements),
    )
