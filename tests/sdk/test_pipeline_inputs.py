"""The answer is the same however the image comes in, in any batch and from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

import fundusrt
from fundusrt import InvalidInput
from fundusrt.image import from_array
from fundusrt.testing import assert_maps_close, fake_pipeline, tiny_image, tiny_manifest

MANIFEST = tiny_manifest(tile_px=64, whole_px=48)


def maps(result: fundusrt.SegmentationResult) -> dict[str, np.ndarray]:
    return {"mask": result.mask, "probability": result.probability}


@pytest.mark.parametrize("batch", [2, 3, 7, 50])
def test_the_batch_size_changes_nothing(batch: int) -> None:
    image = tiny_image(300, 350)
    one, many = fake_pipeline(MANIFEST), fake_pipeline(MANIFEST, batch=batch)
    expected = one(image)
    assert_maps_close(maps(many(image)), maps(expected))
    tiles = expected.provenance.tiles
    assert one.small.shapes == [(1, 3, 64, 64)] * tiles  # type: ignore[attr-defined]
    assert many.small.shapes == [(batch, 3, 64, 64)] * -(-tiles // batch)  # type: ignore[attr-defined]
    assert many.large.shapes == [(1, 3, 48, 48)]  # type: ignore[attr-defined]


def test_a_batch_below_one_is_refused() -> None:
    with pytest.raises(InvalidInput, match="batch: got 0; expected at least 1"):
        fake_pipeline(MANIFEST, batch=0)


def write(path: Path, pixels: np.ndarray) -> Path:
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    else:
        assert cv2.imwrite(str(path), pixels)  # equal channels: their order does not matter
    return path


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_the_storage_changes_nothing(tmp_path: Path, ending: str, colour: bool) -> None:
    grey = tiny_image()
    expected = fake_pipeline(MANIFEST)(grey)
    pixels = np.repeat(grey[..., None], 3, axis=2) if colour else grey
    result = fake_pipeline(MANIFEST)(write(tmp_path / f"eye.{ending}", pixels))
    assert_maps_close(maps(result), maps(expected))
    assert [lesion.to_dict() for lesion in result.lesions] == [lesion.to_dict() for lesion in expected.lesions]
    assert result.provenance.source == f"eye.{ending}"


def test_16_bit_storage_changes_nothing_inside_one_field_of_view(tmp_path: Path) -> None:
    grey = tiny_image()
    wide = write(tmp_path / "eye.png", grey.astype(np.uint16) * np.uint16(257))
    fov = from_array(grey).fov
    narrow = fake_pipeline(MANIFEST)(from_array(grey, fov=fov))
    read = fundusrt.read_image(wide)
    assert read.pixels.dtype == np.uint16
    result = fake_pipeline(MANIFEST)(from_array(read.pixels, fov=fov))
    assert_maps_close(maps(result), maps(narrow))
    assert (result.provenance.bit_depth, narrow.provenance.bit_depth) == (16, 8)


def test_path_string_array_and_image_are_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "eye.png", tiny_image())
    pipeline = fake_pipeline(MANIFEST)
    expected = maps(pipeline(tiny_image()))
    for image in (path, str(path), fundusrt.read_image(path), from_array(tiny_image())):
        assert_maps_close(maps(pipeline(image)), expected)


def test_strided_and_read_only_arrays() -> None:
    image = tiny_image()
    spread = np.zeros((*image.shape, 4), np.uint8)
    spread[..., 1] = image
    view = spread[..., 1]
    view.flags.writeable = False
    assert_maps_close(maps(fake_pipeline(MANIFEST)(view)), maps(fake_pipeline(MANIFEST)(image)))


def test_an_image_is_not_changed_and_two_runs_agree() -> None:
    image = tiny_image()
    kept = image.copy()
    pipeline = fake_pipeline(MANIFEST)
    first, second = pipeline(image), pipeline(image)
    np.testing.assert_array_equal(image, kept)
    assert_maps_close(maps(first), maps(second))
    assert not np.shares_memory(first.probability, second.probability)
    first.mask[:] = True
    first.probability[:] = 1.0
    assert_maps_close(maps(pipeline(image)), maps(second))


def test_16_threads_share_a_pipeline(tiny: Path) -> None:
    images = [tiny_image(100 + 13 * i, 140 + 7 * i) for i in range(4)]
    with fundusrt.load(tiny, threads=1) as pipeline:
        expected = [maps(pipeline(image)) for image in images]
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(lambda i: maps(pipeline(images[i % 4])), range(32)))
    for i, result in enumerate(results):
        assert_maps_close(result, expected[i % 4])


def test_the_limit_on_megapixels_is_the_loader_s(tiny: Path, tmp_path: Path) -> None:
    write(tmp_path / "eye.png", tiny_image())
    with (
        fundusrt.load(tiny, threads=1, max_megapixels=0.001) as pipeline,
        pytest.raises(InvalidInput, match=r"eye.png: got 144 x 208 px \(0.0 megapixels\); expected at most 0.001"),
    ):
        pipeline(tmp_path / "eye.png")
