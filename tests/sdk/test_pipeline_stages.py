"""The stages of a pipeline, against a plain composition."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from fundusrt.image import from_array
from fundusrt.manifest import CgnrSpec, PostprocessSpec, PreprocessSpec
from fundusrt.testing import assert_maps_close, fake_pipeline, tiny_manifest
from tests.sdk.resampling import bilinear

MANIFEST = tiny_manifest(tile_px=64, whole_px=48)


def test_tiles_and_whole_image_see_what_the_stages_made() -> None:
    """Networks that return their input put the pre-processed picture together again."""
    manifest = tiny_manifest(tile_px=64, whole_px=48)
    pipeline = fake_pipeline(manifest, lambda batch: batch[:, :1], lambda batch: batch[:, :1])
    pixels = np.random.default_rng(3).integers(0, 256, (192, 320), dtype=np.uint8)
    np.testing.assert_array_equal(pipeline.run_tiles(pixels), pixels * np.float32(1 / 255))
    whole = pixels[:48, :48]
    np.testing.assert_array_equal(pipeline.run_whole(whole), whole * np.float32(1 / 255))


def test_the_whole_path_equals_its_parts_done_by_hand() -> None:
    """Networks that return their input, no contrast change: resampling, weights and threshold are all that is left."""
    preprocess, post = PreprocessSpec(clahe=None, gamma=1.0), PostprocessSpec(cgnr=CgnrSpec(enabled=False))
    manifest = tiny_manifest(tile_px=64, whole_px=48, preprocess=preprocess, postprocess=post)
    pixels = np.random.default_rng(4).integers(30, 255, (100, 150), dtype=np.uint8)
    image = from_array(pixels, fov=np.ones(pixels.shape, bool))
    result = fake_pipeline(manifest, lambda batch: batch[:, :1], lambda batch: batch[:, :1])(image)
    assert result.provenance.grid_px == (128, 128)
    rows, columns = ((2 * np.arange(128) + 1) * length // 256 for length in pixels.shape)
    p_small = bilinear(pixels[rows][:, columns] / 255.0, pixels.shape)
    p_large = bilinear(cv2.resize(pixels, (48, 48), interpolation=cv2.INTER_AREA) / 255.0, pixels.shape)
    # Float32 weights and sums of four values of at most 1, in OpenCV; float64 here.
    assert_maps_close(
        {"p": result.probability}, {"p": (0.3 * p_large + 0.7 * p_small).astype(np.float32)}, max_abs=2.0**-20
    )


@pytest.mark.parametrize("on", ["prob", "logit"])
def test_upsampling_on_probability_or_logit(on: Any) -> None:
    manifest = tiny_manifest(tile_px=64, whole_px=48, postprocess=PostprocessSpec(upsample_on=on))
    p = np.random.default_rng(5).random((16, 24)).astype(np.float32)
    p[0, 0], p[0, 1] = 0.0, 1.0
    made = fake_pipeline(manifest).upsample(p, 50, 61)
    clipped = np.clip(p.astype(np.float64), 2.0**-20, 1 - 2.0**-20)
    values = p.astype(np.float64) if on == "prob" else np.log(clipped / (1 - clipped))
    expected = bilinear(values, (50, 61))
    if on == "logit":
        expected = 1 / (1 + np.exp(-expected))
    assert made.dtype == np.float32
    # Logits up to 14 and their float32 weights: some roundings of 2**-21, times the sigmoid's slope of at most 1/4.
    np.testing.assert_allclose(made, expected, rtol=0, atol=2.0**-20)
    assert made.min() >= 0.0
    assert made.max() <= 1.0


def test_an_answer_stays_as_it_was_when_other_images_are_run() -> None:
    """Memory goes from image to image; what a caller was given does not."""
    pipeline = fake_pipeline(tiny_manifest(tile_px=64, whole_px=48))
    rng = np.random.default_rng(2)
    # smaller, larger, on the grid already (no resize), as large as the whole image, and all again
    shapes = [(100, 150), (300, 200), (128, 192), (48, 48), (40, 700)] * 2
    images = [rng.integers(30, 255, shape).astype(np.uint8) for shape in shapes]
    results = [pipeline(image) for image in images]
    before = [(result.probability.copy(), result.mask.copy()) for result in results]
    pipeline(images[1])
    for image, result, (probability, mask) in zip(images, results, before, strict=True):
        fresh = fake_pipeline(tiny_manifest(tile_px=64, whole_px=48))(image)
        for made in (result.probability, probability):
            np.testing.assert_array_equal(made, fresh.probability)
        for made in (result.mask, mask):
            np.testing.assert_array_equal(made, fresh.mask)


def test_kept_memory_is_bounded_and_goes_with_close(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = fake_pipeline(tiny_manifest(tile_px=64, whole_px=48))
    pipeline(np.full((100, 150), 99, np.uint8))
    assert pipeline._kept.floats.size == 128 * 128  # 100 x 150 px on a grid of 64
    pipeline.close()
    assert pipeline._kept.floats is None
    monkeypatch.setattr("fundusrt.pipeline._KEPT_BYTES", 1000)
    pipeline = fake_pipeline(tiny_manifest(tile_px=64, whole_px=48))
    pipeline(np.full((100, 150), 99, np.uint8))
    assert pipeline._kept.floats is None


@pytest.mark.parametrize("shape", [(37, 53), (41, 64), (64, 96), (1, 1)])
def test_upsampling_into_spare_memory_gives_the_same_map(shape: tuple[int, int]) -> None:
    pipeline = fake_pipeline(tiny_manifest(tile_px=64, whole_px=48))
    p = np.random.default_rng(1).random((48, 48), np.float32)
    expected = pipeline.upsample(p, *shape)
    for room in (64 * 64, shape[0] * shape[1], shape[0] * shape[1] - 1):
        spare = np.full((1, room), np.nan, np.float32)
        made = pipeline.upsample(p, *shape, spare)
        assert np.array_equal(made, expected)
        assert np.shares_memory(made, spare) == (room >= shape[0] * shape[1])


def test_upsampling_leaves_the_unit_interval_never() -> None:
    rng = np.random.default_rng(6)
    pipeline = fake_pipeline(MANIFEST)
    for _ in range(60):
        height, width = rng.integers(1, 40, 2)
        p = np.where(rng.random((height, width)) < 0.5, 1.0, 1.0 - 2.0**-24).astype(np.float32)
        made = pipeline.upsample(p, *(int(v) for v in rng.integers(1, 200, 2)))
        assert made.max() <= 1.0
