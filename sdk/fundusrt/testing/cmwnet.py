"""A CMWNet bundle and pipeline of two networks that mark bright pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt._tiny_onnx import pixel_classifier
from fundusrt.backends.fake import FakeSession
from fundusrt.image import from_array
from fundusrt.manifest import CmwnetManifest, PostprocessSpec, PreprocessSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole
from fundusrt.testing.assembly import IDENTITY, bright_judge, tiny_fields, tiny_network, write_bundle
from fundusrt.testing.images import tiny_image

__all__ = ["fake_pipeline", "tiny_bundle", "tiny_manifest"]

Batch = npt.NDArray[np.float32]

# Slope and bias on the mean of the channels: the whole-image network is unsure, the tile network sharp and stricter.
_LARGE = (12.0, -7.2)
_SMALL = (40.0, -28.0)


def tiny_manifest(
    *,
    tile_px: int = 512,
    whole_px: int = 512,
    preprocess: PreprocessSpec | None = None,
    postprocess: PostprocessSpec | None = None,
) -> CmwnetManifest:
    """Return the manifest of `tiny_bundle` with hashes of nothing; `seal_bundle` puts in the real ones."""
    preprocess = preprocess or PreprocessSpec()

    def network(role: str, file: str, size_px: int) -> dict[str, Any]:
        image, answer = (preprocess.channels, size_px, size_px), (1, size_px, size_px)
        return tiny_network(role, file, image, "probability", answer)

    networks = {
        "large": network("whole_image", "large.onnx", whole_px),
        "small": network("tile", "small.onnx", tile_px),
    }
    golden = {"image": "png", "grid": "npz", "whole": "npz", "large": "npz", "small": "npz", "mask": "png"}
    fields = tiny_fields("cmwnet", "Two networks of one pixel each, for tests.", networks, golden)
    return CmwnetManifest.model_validate(
        {
            **fields,
            "label": "bright spots",
            "preprocess": preprocess,
            "tile": {"size": tile_px},
            "whole_image": {"size": whole_px},
            "postprocess": postprocess or PostprocessSpec(),
        }
    )


def fake_pipeline(
    manifest: CmwnetManifest,
    large: Callable[[Batch], Batch] | None = None,
    small: Callable[[Batch], Batch] | None = None,
    *,
    batch: int = 1,
) -> SegmentationPipeline:
    """Return a pipeline whose networks are Python functions.

    Args:
        manifest: e.g. from `tiny_manifest`.
        large: (N, C, H, W) float32 to (N, 1, H, W) float32 in [0, 1]; None for the network of `tiny_bundle`.
        small: the same for the tile network.
        batch: tiles per network call.
    """
    specs = manifest.networks
    return SegmentationPipeline(
        manifest,
        FakeSession(large or bright_judge(*_LARGE), specs["large"].input, specs["large"].output),
        FakeSession(small or bright_judge(*_SMALL), specs["small"].input, specs["small"].output),
        dict(IDENTITY),
        batch=batch,
    )


def tiny_bundle(
    folder: str | Path,
    *,
    tile_px: int = 512,
    whole_px: int = 512,
    preprocess: PreprocessSpec | None = None,
    postprocess: PostprocessSpec | None = None,
) -> Path:
    """Write a complete, valid bundle of a few kilobytes, with networks that mark bright pixels.

    Args:
        folder: made if it does not exist.
        tile_px: side of a tile; small ones make quick tests.
        whole_px: side of the whole-image branch's input.
        preprocess: default: the manifest's defaults.
        postprocess: default: the manifest's defaults.

    Returns:
        The folder: `fundusrt.load` takes it.
    """
    manifest = tiny_manifest(tile_px=tile_px, whole_px=whole_px, preprocess=preprocess, postprocess=postprocess)
    channels = manifest.preprocess.channels
    networks = {
        file: pixel_classifier(size_px, [slope / channels] * channels, bias)
        for file, size_px, (slope, bias) in (("large.onnx", whole_px, _LARGE), ("small.onnx", tile_px, _SMALL))
    }
    pixels = tiny_image()
    enhanced = enhance(from_array(pixels), manifest.preprocess)
    grid, whole = fit_to_grid(enhanced, manifest.tile), shrink_whole(enhanced, manifest.whole_image)
    pipeline = fake_pipeline(manifest)
    golden = manifest.golden
    arrays = {
        golden.grid: grid,
        golden.whole: whole,
        golden.large: pipeline.run_whole(whole),
        golden.small: pipeline.run_tiles(grid),
    }
    mask = pipeline(pixels).mask.astype(np.uint8) * np.uint8(255)
    return write_bundle(folder, manifest, networks, arrays, {golden.image: pixels, golden.mask: mask})
