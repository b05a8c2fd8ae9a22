"""Each stage in C++ gives Python's bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import cv2
import numpy as np
import pytest

from fundusrt.cgnr import cgnr
from fundusrt.errors import InvalidInput
from fundusrt.field_of_view import find_field_of_view
from fundusrt.fusion import fuse
from fundusrt.image import from_array
from fundusrt.kernels import tables
from fundusrt.lesions import find_lesions
from fundusrt.manifest import CgnrSpec, ClaheSpec, PostprocessSpec, PreprocessSpec
from fundusrt.preprocess import enhance, gamma_table, to_tensor
from fundusrt.stitching import Stitcher
from fundusrt.tiling import TileGrid, grid_size
from tests.cpp.eyes import EYES, eye
from tests.cpp.probe import Probe


def intel_primitives() -> None:
    if not cv2.ipp.useIPP():
        pytest.skip("this OpenCV does not use Intel's primitives: it rounds some resizes otherwise")


def blobs(seed: int, height: int = 180, width: int = 230, sigma: float = 5.0) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random((height, width)), (0, 0), sigma)
    return np.where(noise > np.median(noise), np.uint8(255), np.uint8(0))


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_sha256(probe: Probe, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    assert probe.sha256(data) == hashlib.sha256(data).hexdigest()


def test_tables(probe: Probe) -> None:
    lab = np.empty(7936, np.uint16)
    probe.call("probe_lab_tables", lab)
    np.testing.assert_array_equal(lab, tables.lab())
    for gamma in (0.8, 1.0, 1.2, 2.2):
        made = np.empty(256, np.uint8)
        probe.call("probe_gamma_table", gamma, made)
        np.testing.assert_array_equal(made, gamma_table(gamma))


CV2 = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


@pytest.mark.parametrize("interpolation", sorted(CV2))
@pytest.mark.parametrize("target", [(100, 90), (60, 62), (700, 650), (120, 61), (240, 244), (90, 300)])
@pytest.mark.parametrize("colour", [False, True])
def test_resize_of_bytes(probe: Probe, interpolation: str, target: tuple[int, int], colour: bool) -> None:
    if interpolation == "cubic":
        intel_primitives()
        if target[0] < 120:
            pytest.skip("cubic is for enlarging alone")
    image = np.random.default_rng(3).integers(0, 256, (120, 122, 3), dtype=np.uint8)
    image = image if colour else np.ascontiguousarray(image[..., 0])
    expected = cv2.resize(image, target[::-1], interpolation=CV2[interpolation])
    made = probe.resize(image, *target, interpolation)
    if interpolation == "cubic":
        # Intel's weights are not known to the last bit: 7 samples in a million fall on the other side of a half.
        off = np.abs(made.astype(int) - expected)
        assert off.max() <= 1
        assert off.mean() <= 3e-5
    else:
        np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("target", [(700, 650), (100, 90), (257, 300), (256, 300), (1000, 257)])
def test_resize_of_maps(probe: Probe, target: tuple[int, int]) -> None:
    intel_primitives()
    values = np.random.default_rng(4).random((256, 257), np.float32)
    np.testing.assert_array_equal(probe.resize_float(values, *target), cv2.resize(values, target[::-1]))


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [False, True])
def test_averages(probe: Probe, factor: int, dtype: Any, colour: bool) -> None:
    image = np.random.default_rng(5).integers(0, np.iinfo(dtype).max + 1, (50, 61, 3), dtype=dtype)
    image = image if colour else np.ascontiguousarray(image[..., 0])
    cropped = image[: 50 // factor * factor, : 61 // factor * factor]
    expected = cv2.resize(cropped, (61 // factor, 50 // factor), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(probe.averaged(image, factor), expected)


@pytest.mark.parametrize("reach", [1, 2, 15])
def test_growing_and_shrinking(probe: Probe, reach: int) -> None:
    mask, square = blobs(6), np.ones((2 * reach + 1,) * 2, np.uint8)
    np.testing.assert_array_equal(probe.shape(mask, "erode", reach), cv2.erode(mask, square))
    np.testing.assert_array_equal(probe.shape(mask, "dilate", reach), cv2.dilate(mask, square))


def test_blur(probe: Probe) -> None:
    image = np.random.default_rng(7).integers(0, 256, (300, 257), dtype=np.uint8)
    np.testing.assert_array_equal(probe.shape(image, "blur"), cv2.blur(image, (3, 3)))


@pytest.mark.parametrize("sigma", [3.0, 8.0, 30.0])
def test_distances_that_matter(probe: Probe, sigma: float) -> None:
    intel_primitives()
    mask = blobs(8, 500, 700, sigma)
    expected, made = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5), probe.distance(mask)
    near = expected < 30  # the disc's radius is 25.6 px at most
    np.testing.assert_array_equal(made[near], expected[near])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sigma", [1.0, 4.0, 15.0])
@pytest.mark.parametrize("operation", ["pieces", "hull"])
def test_outlines(probe: Probe, seed: int, sigma: float, operation: str) -> None:
    mask = blobs(seed, sigma=sigma)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = [cv2.contourArea(each) for each in outlines]
    kept = [each for each, area in zip(outlines, areas, strict=True) if area >= max(0.02 * max(areas), 1.0)]
    if operation == "hull":
        kept = [cv2.convexHull(np.concatenate(kept))]
    expected = cv2.drawContours(np.zeros_like(mask), kept, -1, 255, cv2.FILLED)
    np.testing.assert_array_equal(probe.shape(mask, operation), expected)


@pytest.mark.parametrize("name", EYES)
def test_field_of_view(probe: Probe, name: str) -> None:
    intel_primitives()
    pixels = eye(name)
    expected = find_field_of_view(pixels)
    np.testing.assert_array_equal(probe.field(pixels), expected)


@pytest.mark.parametrize("name", EYES)
@pytest.mark.parametrize(
    "spec", [PreprocessSpec(), PreprocessSpec(clahe=ClaheSpec(clip=3.5, grid=5), gamma=1.0), PreprocessSpec(clahe=None)]
)
def test_contrast(probe: Probe, name: str, spec: PreprocessSpec) -> None:
    pixels = eye(name)
    image = from_array(pixels)
    clip, grid = (spec.clahe.clip, spec.clahe.grid) if spec.clahe else (1.0, 0)
    made = probe.enhance(pixels, image.fov, clip, grid, spec.gamma)
    np.testing.assert_array_equal(made, enhance(image, spec))


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("statistics", [((0.0,) * 3, (1.0,) * 3), ((0.2, 0.4, 0.5), (0.3, 0.2, 0.7))])
def test_tensors(probe: Probe, planes: Any, colour: bool, statistics: Any) -> None:
    window = np.random.default_rng(9).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    window = window if colour else np.ascontiguousarray(window[..., 0])
    spec = PreprocessSpec(channels=planes, mean=statistics[0], std=statistics[1])
    np.testing.assert_array_equal(probe.tensor(window, planes, *statistics), to_tensor(window, spec))


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (513, 511), (3072, 3900), (2000, 100), (1537, 4096)])
@pytest.mark.parametrize("overlap", [0, 1, 64, 256])
def test_tile_plan(probe: Probe, size: tuple[int, int], overlap: int) -> None:
    expected = [
        (tile.row, tile.column, tile.y0, tile.x0, tile.y1, tile.x1)
        for tile in TileGrid.cover(*size, tile=512, overlap=overlap)
    ]
    assert probe.tiles(*size, 512, overlap) == expected
    for rounding in ("nearest", "ceil", "floor"):
        assert probe.grid_size(*size, 512, rounding) == grid_size(*size, 512, rounding)


@pytest.mark.parametrize("overlap", [0, 10])
def test_stitching(probe: Probe, overlap: int) -> None:
    grid = TileGrid.cover(100, 130, tile=32, overlap=overlap)
    tiles = np.random.default_rng(10).random((len(grid), 32, 32), np.float32)
    stitcher = Stitcher(grid)
    for tile, values in zip(grid, tiles, strict=True):
        stitcher.add(tile, values)
    np.testing.assert_array_equal(probe.stitch(tiles, 100, 130, overlap), stitcher.result())


@pytest.mark.parametrize("mode", ["parallel", "raster", "converge"])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (67, 130)])
def test_cgnr(probe: Probe, mode: Any, size: tuple[int, int]) -> None:
    random = np.random.default_rng(11).random((2, *size))
    base, guide = (
        np.where(each < share, np.uint8(255), np.uint8(0)) for each, share in zip(random, (0.1, 0.6), strict=True)
    )
    np.testing.assert_array_equal(probe.cgnr(base, guide, mode), cgnr(base, guide, mode))


@pytest.mark.parametrize("order", ["cgnr_then_fuse", "fuse_then_cgnr", "cgnr_only"])
@pytest.mark.parametrize("refine", ["parallel", "raster", "converge", ""])
def test_fusion(probe: Probe, order: Any, refine: Any) -> None:
    cgnr_spec = CgnrSpec(mode=refine) if refine else CgnrSpec(enabled=False)
    spec = PostprocessSpec(order=order, w_large=0.7, threshold=0.45, cgnr=cgnr_spec)
    small, large = np.random.default_rng(12).random((2, 150, 211), np.float32)
    np.testing.assert_array_equal(probe.fuse(small, large, spec), fuse(large, small, spec))
    small[3, 4] = np.nan
    assert probe.fuse(small, large, spec) == InvalidInput.code


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mm_per_px", [0.0, 0.012])
def test_lesion_table(probe: Probe, seed: int, mm_per_px: float) -> None:
    mask = blobs(seed, sigma=2.0) > 0
    probability = np.random.default_rng(seed).random(mask.shape, np.float32)
    expected = find_lesions(mask, probability, mm_per_px or None)
    made = probe.lesions(mask, probability, mm_per_px)
    assert len(made) == len(expected) > 3
    for row, lesion in zip(made, expected, strict=True):
        area_mm2 = -1.0 if lesion.area_mm2 is None else lesion.area_mm2
        assert tuple(row) == (lesion.area_px, area_mm2, *lesion.bbox, *lesion.centroid, lesion.mean_probability)
