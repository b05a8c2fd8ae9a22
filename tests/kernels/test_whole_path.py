"""All kernels one after the other, between them the same networks: the pipeline's own mask, bit for bit."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from fundusrt.image import FundusImage, from_array
from fundusrt.kernels import launches, tables
from fundusrt.manifest import CmwnetManifest, PostprocessSpec, PreprocessSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.preprocess import gamma_table
from fundusrt.testing import fake_pipeline, tiny_manifest
from fundusrt.tiling import grid_size
from tests.kernels.host_kernels import HostKernels, HostMemory, address

BATCH = 4


def judge(batch: np.ndarray) -> np.ndarray:
    """A network with a neighbourhood, unsure in many places."""
    mean = batch.mean(axis=1, keepdims=True, dtype=np.float32)
    across = 0.5 * mean + 0.25 * np.roll(mean, 1, axis=3) + 0.25 * np.roll(mean, 2, axis=2)
    return (1 / (1 + np.exp(-(14 * across - 6)))).astype(np.float32)


def by_kernels(kernels: HostKernels, eye: FundusImage, manifest: CmwnetManifest, colour: bool) -> tuple[Any, Any]:
    """Mask and probability; uploads, stages and networks in the order of a GPU."""
    memory, spec, tile = HostMemory(), manifest.preprocess, manifest.tile.size
    height, width = eye.height, eye.width
    pixels = memory.copy(eye.pixels)
    if eye.pixels.dtype == np.uint16:
        eight = address(memory.empty(eye.pixels.shape, np.uint8))
        kernels.run(launches.reduce_16(pixels, eight, eye.pixels.size))
        pixels = eight
    if eye.pixels.ndim == 3:
        flag = memory.empty((1,), np.uint32)
        flag[0] = 0
        kernels.run(launches.channels_differ(pixels, height * width, address(flag)))
        assert bool(flag[0]) == colour
        if not colour:
            grey = address(memory.empty((height, width), np.uint8))
            kernels.run(launches.pick_channel(pixels, grey, height * width, 1))
            pixels = grey
    channels = 3 if colour else 1
    shape = (height, width, 3) if colour else (height, width)

    grid = spec.clahe.grid if spec.clahe else 1
    scratch = launches.EnhanceScratch(
        gamma=memory.copy(gamma_table(spec.gamma)),
        histograms=memory.copy(np.zeros((grid**2, 256), np.uint32)),
        luts=address(memory.empty((grid**2, 256), np.uint8)),
        field=0 if eye.fov.all() else memory.copy(tables.pack_field(eye.fov)),
        lab=address(memory.empty(shape, np.uint8)),
        lab_tables=memory.copy(tables.lab()),
    )
    enhanced = address(memory.empty(shape, np.uint8))
    stage = launches.enhance_colour if colour else launches.enhance_grey
    kernels.run(stage(pixels, enhanced, height, width, spec, scratch))

    size, table = manifest.whole_image.size, memory.copy(tables.normalisation(spec))
    whole = address(memory.empty((size, size, channels), np.uint8))
    kernels.run(launches.shrink_whole(enhanced, whole, height, width, channels, manifest.whole_image))
    feed = memory.empty((1, spec.channels, size, size), np.float32)
    kernels.run(launches.gather(whole, address(feed), size, size, channels, (size, size), size, 0, 1, spec, table))
    p_large = memory.copy(judge(feed))

    grid_px = grid_size(height, width, tile, manifest.tile.round)
    count = (grid_px[0] // tile) * (grid_px[1] // tile)
    p_small = memory.empty((-(-count // BATCH) * BATCH, 1, tile, tile), np.float32)
    feed = memory.empty((BATCH, spec.channels, tile, tile), np.float32)
    for first in range(0, count, BATCH):
        kernels.run(
            launches.gather(enhanced, address(feed), height, width, channels, grid_px, tile, first, BATCH, spec, table)
        )
        p_small[first : first + BATCH] = judge(feed)

    mask, probability = memory.empty((height, width), np.uint8), memory.empty((height, width), np.float32)
    kernels.run(
        launches.fuse(
            address(p_small), p_large, address(mask), height, width, grid_px, tile, (size, size), manifest.postprocess,
            field=scratch.field, probability=address(probability),
        )
    )  # fmt: skip
    memory.check()
    return mask > 0, probability


def picture(kind: str) -> np.ndarray:
    """A bright disc with spots, on black; the field of view is found in it."""
    y, x = np.mgrid[:301, :397]
    inside = (y - 150) ** 2 + (x - 190) ** 2 < 140**2
    noise = cv2.GaussianBlur(np.random.default_rng(8).random((301, 397), np.float32), (0, 0), 4)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    grey = (inside * (60 + 190 * noise)).astype(np.uint8)
    if kind == "16 bit":
        return grey.astype(np.uint16) * 250
    if kind == "grey stored in colour":
        return np.repeat(grey[..., None], 3, axis=2)
    if kind == "colour":
        return np.stack([grey, (grey * 0.7).astype(np.uint8), grey // 3], axis=-1)
    return grey


@pytest.mark.parametrize("kind", ["grey", "16 bit", "grey stored in colour", "colour"])
@pytest.mark.parametrize("order", ["cgnr_then_fuse", "fuse_then_cgnr"])
def test_the_mask_is_the_pipeline_s(kernels: HostKernels, kind: str, order: Any) -> None:
    if not cv2.ipp.useIPP():
        pytest.skip("this OpenCV does not use Intel's primitives: its float32 resize rounds otherwise")
    manifest = tiny_manifest(tile_px=64, whole_px=96, postprocess=PostprocessSpec(order=order))
    pipeline: SegmentationPipeline = fake_pipeline(manifest, judge, judge, batch=BATCH)
    eye = from_array(picture(kind))
    assert not eye.fov.all()
    expected = pipeline(eye)
    mask, probability = by_kernels(kernels, eye, manifest, kind == "colour")
    assert 0.02 < expected.mask.mean() < 0.6
    np.testing.assert_array_equal(probability, expected.probability)
    np.testing.assert_array_equal(mask, expected.mask)


def test_no_contrast_change_and_one_channel(kernels: HostKernels) -> None:
    if not cv2.ipp.useIPP():
        pytest.skip("this OpenCV does not use Intel's primitives: its float32 resize rounds otherwise")
    manifest = tiny_manifest(tile_px=64, whole_px=96, preprocess=PreprocessSpec(channels=1, clahe=None))
    eye = from_array(picture("colour"), fov=np.ones((301, 397), bool))
    expected = fake_pipeline(manifest, judge, judge)(eye)
    mask, probability = by_kernels(kernels, eye, manifest, colour=True)
    np.testing.assert_array_equal(probability, expected.probability)
    np.testing.assert_array_equal(mask, expected.mask)
