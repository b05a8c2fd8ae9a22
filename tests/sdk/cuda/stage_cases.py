"""Stages on a lane beside the CPU's: the same cases on the fake GPU, whose kernels are compiled for the host, and on a
real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from fundusrt import fusion, preprocess
from fundusrt.cuda import stages
from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.lane import Lane
from fundusrt.image import FundusImage
from fundusrt.manifest import (
    CgnrSpec,
    ClaheSpec,
    PostprocessSpec,
    PreprocessSpec,
    TileSpec,
    WholeImageSpec,
)
from fundusrt.testing import fake_pipeline, tiny_manifest
from fundusrt.tiling import TileGrid, grid_size

Case = Callable[[Lane], None]
# OpenCV's averages and interpolations round differently from build to build and processor to processor. Where the CPU's
# side is not the machine that the kernels' own tests ran on, the last digit is allowed to differ.
EXACT = True
NEAR = 1e-4
# Odd, prime, narrow and wide; beside a whole number of tiles.
SIZES = ((64, 64), (97, 131), (33, 250), (301, 180))


def agrees(made: Any, expected: Any) -> bool:
    """Whether two arrays are equal or, where that may not be asked for, no more apart than OpenCV's builds are."""
    if EXACT or made.shape != expected.shape or made.dtype != expected.dtype:
        return np.array_equal(made, expected)
    if made.dtype == np.uint8:
        off = np.abs(made.astype(np.int16) - expected.astype(np.int16))
        return bool(off.max() <= 1 and np.mean(off > 0) <= 0.01)
    return bool(np.abs(made - expected).max() <= NEAR)


def sent(lane: Lane, name: str, array: Any) -> DeviceArray:
    return lane.upload(name, array)[0]


def picture(height: int, width: int, *shape: int, seed: int = 0, dtype: Any = np.uint8) -> Any:
    """An eye of smooth shades and some noise on black."""
    random = np.random.default_rng(seed + height * 1000 + width)
    y, x = np.mgrid[:height, :width]
    shade = 0.5 + 0.4 * np.sin(y / 9.0) * np.cos(x / 13.0)
    levels = shade[(...,) + (None,) * len(shape)] + random.normal(0, 0.05, (height, width, *shape))
    top = np.iinfo(dtype).max
    return np.clip(levels * top, 0, top).astype(dtype)


def field(height: int, width: int) -> Any:
    y, x = np.mgrid[:height, :width]
    return ((y - height / 2) / (height / 2)) ** 2 + ((x - width / 2) / (width / 2)) ** 2 < 0.95


def uploads_come_back(lane: Lane) -> None:
    for array in (picture(31, 17), picture(8, 9, 3), picture(8, 9, dtype=np.uint16), np.float32([1, 2, 3])):
        first, second = lane.upload("parts", array, array[::-1])
        assert np.array_equal(lane.download(first), array)
        assert np.array_equal(lane.download(second), array[::-1])
        assert first.address % 256 == second.address % 256 == 0
    large = np.random.default_rng(1).integers(0, 256, 9 * 2**20 + 5, np.uint8)
    assert np.array_equal(lane.download(sent(lane, "large", large)), large)


def sixteen_bits_become_eight(lane: Lane) -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for pixels in (every, picture(33, 250, 3, dtype=np.uint16)):
        made = lane.download(stages.to_8_bit(lane, sent(lane, "pixels", pixels)))
        assert np.array_equal(made, preprocess.to_8_bit(pixels))


def equal_channels_are_one(lane: Lane) -> None:
    grey = picture(97, 131)
    three = np.repeat(grey[..., None], 3, axis=2)
    made = stages.drop_equal_channels(lane, sent(lane, "pixels", three))
    assert np.array_equal(lane.download(made), grey)
    three[-1, -1, 2] ^= 1
    assert stages.drop_equal_channels(lane, sent(lane, "pixels", three)).shape == (97, 131, 3)
    assert stages.drop_equal_channels(lane, sent(lane, "pixels", grey)).shape == (97, 131)


def enhanced_as_on_the_cpu(lane: Lane) -> None:
    specs = (
        PreprocessSpec(),
        PreprocessSpec(clahe=None),
        PreprocessSpec(gamma=1.0, clahe=ClaheSpec(clip=4.0, grid=3)),
        PreprocessSpec(gamma=1.0, clahe=None),
    )
    for height, width in SIZES:
        for shape in ((), (3,)):
            pixels = picture(height, width, *shape)
            for fov in (np.ones((height, width), bool), field(height, width)):
                bits = stages.pack_field(fov)
                for spec in specs:
                    expected = preprocess.enhance(FundusImage(pixels, fov, "eye"), spec)
                    on_device = None if bits is None else sent(lane, "field", bits)
                    made = lane.download(stages.enhance(lane, sent(lane, "pixels", pixels), on_device, spec))
                    assert agrees(made, expected), (height, width, shape, spec, bits is None)


def shrunk_as_on_the_cpu(lane: Lane) -> None:
    for height, width in ((128, 64), (97, 131), (301, 180), (20, 300), (64, 64)):
        for shape in ((), (3,)):
            for interpolation in ("area", "bilinear"):
                pixels, spec = picture(height, width, *shape), WholeImageSpec(size=64, interpolation=interpolation)
                expected = preprocess.shrink_whole(pixels, spec)
                made = lane.download(stages.shrink_whole(lane, sent(lane, "pixels", pixels), spec))
                assert agrees(made, expected), (height, width, shape, interpolation)


def gathered_as_on_the_cpu(lane: Lane) -> None:
    tile = TileSpec(size=32)
    for height, width in SIZES:
        for channels in (1, 3):
            for shape in ((), (3,)):
                mean = (0.0, 0.0, 0.0) if height % 2 else (0.4, 0.5, 0.6)
                spec = PreprocessSpec(channels=channels, mean=mean, std=(0.5, 1.0, 0.25) if any(mean) else (1, 1, 1))
                pixels = picture(height, width, *shape)
                on_grid = preprocess.fit_to_grid(pixels, tile)
                grid = TileGrid.cover(*on_grid.shape[:2], tile=tile.size)
                expected = [preprocess.to_tensor(on_grid[each.window], spec) for each in grid]
                expected += [np.zeros_like(expected[0])] * (-len(expected) % 4)
                on_device = sent(lane, "pixels", pixels)
                into = lane.array("tensors", (4, channels, tile.size, tile.size), np.float32)
                for first in range(0, len(grid), 4):
                    stages.gather(lane, on_device, (grid.height, grid.width), first, into, spec)
                    assert np.array_equal(lane.download(into), expected[first : first + 4]), (height, width, channels)


def values_out_of_range_are_flagged(lane: Lane) -> None:
    flag = lane.array("flag", (1,), np.uint32)
    for wrong, expected in ((0.5, 0), (0.0, 0), (1.0, 0), (1.0000001, 1), (-1e-7, 1), (np.nan, 1), (np.inf, 1)):
        values = np.random.default_rng(3).random(1031, np.float32)
        for at in (0, 517, 1030):
            values[at] = np.float32(wrong)
            lane.zero(flag)
            stages.check_range(lane, sent(lane, "values", values), flag)
            assert bool(lane.download(flag)[0]) == bool(expected), (wrong, at)
            values[at] = 0.5


def fused_as_on_the_cpu(lane: Lane) -> None:
    specs = [
        PostprocessSpec(order=order, w_large=weight, threshold=threshold, cgnr=CgnrSpec(enabled=refined))
        for order, weight, threshold, refined in (
            ("cgnr_then_fuse", 0.3, 0.5, True),
            ("cgnr_then_fuse", 0.0, 0.3, False),
            ("fuse_then_cgnr", 0.7, 0.45, True),
            ("cgnr_only", 1.0, 0.5, True),
        )
    ]
    for height, width in SIZES:
        grid = TileGrid.cover(*grid_size(height, width, 32), tile=32)
        random = np.random.default_rng(height)
        tiles = random.random((len(grid), 32, 32), np.float32)
        large = random.random((48, 48), np.float32)
        fov = field(height, width)
        for spec in specs:
            pipeline = fake_pipeline(tiny_manifest(tile_px=32, whole_px=48, postprocess=spec))
            p_grid = np.empty((grid.height, grid.width), np.float32)
            for values, tile in zip(tiles, grid, strict=True):
                p_grid[tile.window] = values
            expected = fusion.fuse(
                pipeline.upsample(large, height, width), np.array(pipeline.upsample(p_grid, height, width)), spec
            )
            expected *= fov
            mask = lane.array("mask", (height, width), np.uint8)
            probability = lane.array("probability", (height, width), np.float32)
            bits = stages.pack_field(fov)
            stages.fuse(
                lane,
                sent(lane, "tiles", tiles),
                sent(lane, "large", large),
                grid,
                sent(lane, "field", bits),
                spec,
                mask,
                probability,
            )
            assert agrees(lane.download(probability), expected), (height, width, spec)
            marked, threshold = lane.download(mask) > 0, np.float32(spec.threshold)
            unsure = np.zeros_like(marked) if EXACT else _unsure(expected, large, p_grid, pipeline, threshold)
            assert np.array_equal(marked | unsure, (expected >= threshold) | unsure)


def _unsure(expected: Any, large: Any, p_grid: Any, pipeline: Any, threshold: Any) -> Any:
    """Return the pixels that a last digit may switch: near the threshold themselves, or next to such of either map."""
    near = np.abs(expected - threshold) <= NEAR
    height, width = expected.shape
    for values in (large, p_grid):
        near |= np.abs(np.array(pipeline.upsample(values, height, width)) - threshold) <= NEAR
    return cv2.dilate(near.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


CASES: tuple[Case, ...] = (
    uploads_come_back,
    sixteen_bits_become_eight,
    equal_channels_are_one,
    enhanced_as_on_the_cpu,
    shrunk_as_on_the_cpu,
    gathered_as_on_the_cpu,
    values_out_of_range_are_flagged,
    fused_as_on_the_cpu,
)
