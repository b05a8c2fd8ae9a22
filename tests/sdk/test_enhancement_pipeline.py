"""One image through the enhancement pipeline: what is answered, and never silently wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt import BackendUnavailable, EnhancementResult, InvalidInput
from fundusrt.enhancement_pipeline import EnhancementPipeline
from fundusrt.image import from_array
from fundusrt.manifest import EnhancementPostprocessSpec, FrameSpec
from fundusrt.testing import (
    fake_enhancement_pipeline,
    tiny_enhancement_bundle,
    tiny_enhancement_manifest,
    tiny_image,
    tiny_photograph,
)

RESIDUAL = tiny_enhancement_manifest()
DIRECT = tiny_enhancement_manifest(postprocess=EnhancementPostprocessSpec(to_native="direct"))
WAYS = pytest.mark.parametrize("manifest", [RESIDUAL, DIRECT], ids=["residual", "direct"])


def same(batch: np.ndarray) -> np.ndarray:
    return batch


# --- what is answered


@WAYS
def test_a_result_is_consistent(manifest: Any) -> None:
    pixels = tiny_photograph()
    kept = pixels.copy()
    result = fake_enhancement_pipeline(manifest)(pixels)
    assert isinstance(result, EnhancementResult)
    assert (result.image.shape, result.image.dtype) == (pixels.shape, np.uint8)
    fov = from_array(pixels).fov
    np.testing.assert_array_equal(result.image[~fov], pixels[~fov])
    changed = np.abs(result.image.astype(int) - pixels)
    assert changed[fov].mean() > 5
    assert result.mean_change == pytest.approx(changed[fov].mean())
    assert result.field_of_view_px == fov.sum()
    assert result.quality.gradable
    assert list(result.timings_ms) == ["decode", "frame", "network", "native"]
    np.testing.assert_array_equal(pixels, kept)


def test_what_the_network_leaves_alone_stays_to_the_last_bit_and_detail() -> None:
    """The residual way keeps what no frame of 96 px could hold."""
    pixels = np.random.default_rng(0).integers(0, 256, (211, 307, 3), dtype=np.uint8)
    image = from_array(pixels, fov=np.ones((211, 307), bool))
    result = fake_enhancement_pipeline(RESIDUAL, same)(image)
    np.testing.assert_array_equal(result.image, pixels)
    assert result.mean_change == 0.0
    blurred = fake_enhancement_pipeline(DIRECT, same)(image)
    assert blurred.mean_change > 20


def test_a_constant_change_is_added_and_clipped_once() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (120, 100, 3), dtype=np.uint8)
    image = from_array(pixels, fov=np.ones((120, 100), bool))
    for levels in (10, -40):
        change = np.float32(levels / 255.0)
        result = fake_enhancement_pipeline(RESIDUAL, lambda batch, change=change: batch + change)(image)
        np.testing.assert_array_equal(result.image, np.clip(pixels.astype(int) + levels, 0, 255))


def test_the_change_is_not_clipped_before_it_is_resized() -> None:
    """The frame is white, the network adds: on darker native pixels the whole change must arrive."""
    pixels = np.full((96 * 4, 96 * 4, 3), 255, np.uint8)
    pixels[::4, ::4] = 100
    image = from_array(pixels, fov=np.ones(pixels.shape[:2], bool))
    result = fake_enhancement_pipeline(RESIDUAL, lambda batch: batch + np.float32(0.2))(image)
    np.testing.assert_array_equal(result.image[::4, ::4], 151)


@WAYS
def test_the_channels_keep_their_order(manifest: Any) -> None:
    def redder(batch: np.ndarray) -> np.ndarray:
        made = batch.copy()
        made[:, 0] = 1.0
        return made

    pixels = tiny_photograph()
    result = fake_enhancement_pipeline(manifest, redder)(pixels)
    inside = np.zeros(pixels.shape[:2], bool)
    inside[60:84, 92:116] = True  # far from the rim
    assert (result.image[inside][:, 0] > 200).all()
    assert (result.image[inside][:, 2] < 200).all()


def test_the_network_sees_the_frame_in_0_to_1_black_outside() -> None:
    seen: list[np.ndarray] = []

    def watch(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return batch

    pixels = np.full((64, 64, 3), 255, np.uint8)
    fov = np.zeros((64, 64), bool)
    fov[16:48, 20:44] = True
    manifest = tiny_enhancement_manifest(frame=FrameSpec(height_px=32, width_px=32))
    fake_enhancement_pipeline(manifest, watch)(from_array(pixels, fov=fov))
    assert (seen[0].shape, seen[0].dtype) == ((1, 3, 32, 32), np.float32)
    np.testing.assert_array_equal(seen[0][0], np.broadcast_to(fov[16:48, 16:48], (3, 32, 32)))


@WAYS
def test_grey_is_enhanced_as_equal_channels(manifest: Any) -> None:
    grey = tiny_image()
    fov = from_array(grey).fov
    pipeline = fake_enhancement_pipeline(manifest)
    made = pipeline(from_array(grey, fov=fov))
    assert made.image.shape == (*grey.shape, 3)
    again = pipeline(from_array(np.repeat(grey[..., None], 3, axis=2), fov=fov))
    np.testing.assert_array_equal(made.image, again.image)
    assert (made.image[fov][:, 0] != made.image[fov][:, 1]).any()


@WAYS
def test_16_bit(manifest: Any) -> None:
    """The network sees 8 bits; the image's own values keep their depth until the one rounding at the end."""
    pixels = tiny_photograph()
    fov = from_array(pixels).fov
    pipeline = fake_enhancement_pipeline(manifest)
    expected = pipeline(from_array(pixels, fov=fov)).image
    wide = pipeline(from_array(pixels.astype(np.uint16) * np.uint16(257), fov=fov))
    off = np.abs(wide.image.astype(int) - expected)
    assert off.max() <= 1  # a sum within rounding of a half
    assert off.mean() < 1e-3
    assert (wide.image.dtype, wide.provenance.bit_depth) == (np.uint8, 16)


def test_16_bit_detail_counts_until_the_end() -> None:
    deep = np.full((64, 64, 3), 100 * 257 + 120, np.uint16)  # 100.47 levels
    image = from_array(deep, fov=np.ones((64, 64), bool))
    unchanged = fake_enhancement_pipeline(RESIDUAL, same)(image)
    assert (unchanged.image == 100).all()
    raised = fake_enhancement_pipeline(RESIDUAL, lambda batch: batch + np.float32(0.1 / 255))(image)
    assert (raised.image == 101).all()


@WAYS
@pytest.mark.parametrize("shape", [(32, 32), (32, 33, 3), (37, 411), (500, 32, 3), (97, 101, 3)])
def test_sizes(manifest: Any, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(30, 255, shape, dtype=np.uint8)
    result = fake_enhancement_pipeline(manifest)(pixels)
    assert result.image.shape == (*shape[:2], 3)
    assert result.mean_change > 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_black_image_comes_back_and_says_so(dtype: Any) -> None:
    pipeline = fake_enhancement_pipeline(RESIDUAL)
    result = pipeline(np.zeros((64, 70), dtype))
    assert (result.quality.gradable, result.quality.reasons) == (False, ("no field of view found: the image is black",))
    assert result.image.shape == (64, 70, 3)
    assert not result.image.any()
    assert (result.mean_change, result.field_of_view_px) == (0.0, 0)
    assert pipeline.sessions["enhancement"].shapes == []  # type: ignore[attr-defined]
    assert result.summary() == "ungradable: no field of view found: the image is black"


def test_an_image_whose_given_field_is_empty_comes_back_unchanged() -> None:
    pixels = tiny_photograph()
    result = fake_enhancement_pipeline(RESIDUAL)(from_array(pixels, fov=np.zeros(pixels.shape[:2], bool)))
    np.testing.assert_array_equal(result.image, pixels)
    assert result.image is not pixels
    assert not result.quality.gradable


def test_the_provenance_says_what_ran(tmp_path: Path) -> None:
    with fundusrt.load(tiny_enhancement_bundle(tmp_path / "b"), threads=1) as pipeline:
        assert isinstance(pipeline, EnhancementPipeline)
        result = pipeline(from_array(tiny_photograph(), source_id="eye.jpg"))
    provenance = result.provenance
    assert provenance.options == {"to_native": "residual"}
    assert (provenance.input_px, provenance.frame) == ((96, 96), (6, 38, 138, 170))
    assert provenance.work() == "1 frame of 96 x 96 px"
    expected = fake_enhancement_pipeline(RESIDUAL)(tiny_photograph())
    assert np.abs(result.image.astype(int) - expected.image).max() <= 1


# --- a network that does not keep its word


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1.5, 2.5])
def test_a_network_that_answers_no_image_is_an_error(bad: float) -> None:
    def faulty(batch: np.ndarray) -> np.ndarray:
        made = batch.copy()
        made[0, 2, -1, -1] = bad
        return made

    message = (
        r"network 'enhancement' on fake: got values from .*; "
        r"expected an image of values around \[0, 1\], -1 to 2; run `fundusrt verify` on this machine"
    )
    with pytest.raises(BackendUnavailable, match=message):
        fake_enhancement_pipeline(RESIDUAL, faulty)(tiny_photograph())


@WAYS
@pytest.mark.parametrize("level", [-0.9, 1.9])
def test_values_a_little_outside_are_clipped(manifest: Any, level: float) -> None:
    pixels = tiny_photograph()
    made = fake_enhancement_pipeline(manifest, lambda batch: np.full_like(batch, level))(pixels).image
    inside = from_array(pixels).fov
    assert (made[inside] == (0 if level < 0 else 255)).mean() > 0.9


def test_images_that_cannot_be_used() -> None:
    with pytest.raises(InvalidInput, match=r"array: got shape .*float32"):
        fake_enhancement_pipeline(RESIDUAL)(np.zeros((64, 64), np.float32))
