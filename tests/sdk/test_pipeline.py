"""One image through the stages: what is answered, and never silently wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt import BackendUnavailable, BundleError, InvalidInput
from fundusrt.backends.base import InferenceSession
from fundusrt.backends.fake import FakeSession
from fundusrt.image import FundusImage, from_array
from fundusrt.manifest import CgnrSpec, PostprocessSpec, TensorSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.testing import fake_pipeline, tiny_image, tiny_manifest

MANIFEST = tiny_manifest(tile_px=64, whole_px=48)


def always(value: float) -> Any:
    return lambda batch: np.full((batch.shape[0], 1, *batch.shape[2:]), value, np.float32)


# --- what is answered


def test_a_result_is_consistent() -> None:
    image = tiny_image()
    result = fake_pipeline(MANIFEST)(image)
    assert result.mask.shape == result.probability.shape == image.shape
    assert result.mask.dtype == np.bool_
    assert result.probability.dtype == np.float32
    assert 0.0 <= result.probability.min() <= result.probability.max() <= 1.0
    np.testing.assert_array_equal(result.mask, result.probability >= np.float32(0.5))
    assert result.mask.any()
    assert not result.mask[~result.image.fov].any()
    assert not result.probability[~result.image.fov].any()
    assert result.area_px == result.mask.sum() == sum(lesion.area_px for lesion in result.lesions)
    assert result.area_fraction == result.area_px / result.image.fov.sum()
    assert result.quality.gradable
    assert result.quality.reasons == ()


@pytest.mark.parametrize("threshold", [0.001, 0.3, 0.5, 0.999])
def test_the_mask_is_the_threshold_of_the_manifest(threshold: float) -> None:
    manifest = tiny_manifest(tile_px=64, whole_px=48, postprocess=PostprocessSpec(threshold=threshold))
    result = fake_pipeline(manifest)(tiny_image())
    np.testing.assert_array_equal(result.mask, result.probability >= np.float32(threshold))
    assert not result.mask[~result.image.fov].any()


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_a_probability_equal_to_the_threshold_is_in_the_mask(threshold: float) -> None:
    manifest = tiny_manifest(tile_px=64, whole_px=64, postprocess=PostprocessSpec(threshold=threshold))
    pipeline = fake_pipeline(manifest, always(threshold), always(threshold))
    assert pipeline(np.full((64, 64), 200, np.uint8)).mask.all()
    below = float(np.nextafter(np.float32(threshold), np.float32(0.0)))
    assert not fake_pipeline(manifest, always(below), always(below))(np.full((64, 64), 200, np.uint8)).mask.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3), (200, 90)])
def test_an_all_black_image_is_an_answer(shape: tuple[int, ...], dtype: Any) -> None:
    pipeline = fake_pipeline(MANIFEST, always(1.0), always(1.0))
    result = pipeline(np.zeros(shape, dtype))
    assert not result.quality.gradable
    assert result.quality.reasons == ("no field of view found: the image is black",)
    assert not result.mask.any()
    assert not result.probability.any()
    assert result.mask.shape == shape[:2]
    assert result.lesions == []
    assert result.area_fraction == 0.0
    assert list(result.timings_ms) == ["decode"]
    assert result.provenance.tiles == 0
    assert pipeline.small.shapes == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("order", ["cgnr_then_fuse", "fuse_then_cgnr", "cgnr_only"])
@pytest.mark.parametrize("mode", ["parallel", "raster", "converge"])
def test_no_mask_outside_the_field_of_view_even_from_networks_that_see_it_everywhere(order: Any, mode: Any) -> None:
    post = PostprocessSpec(order=order, cgnr=CgnrSpec(mode=mode))
    pixels = tiny_image()
    fov = np.zeros(pixels.shape, bool)
    fov[30:90, 40:41] = True
    manifest = tiny_manifest(tile_px=64, whole_px=48, postprocess=post)
    result = fake_pipeline(manifest, always(1.0), always(1.0))(from_array(pixels, fov=fov))
    np.testing.assert_array_equal(result.mask, fov)
    assert not result.probability[~fov].any()


def test_networks_that_see_nothing() -> None:
    result = fake_pipeline(MANIFEST, always(0.0), always(0.0))(tiny_image())
    assert result.quality.gradable
    assert not result.mask.any()
    assert result.lesions == []


@pytest.mark.parametrize("shape", [(32, 32), (32, 33, 3), (64, 64), (31 + 64, 65), (37, 411), (500, 32)])
def test_sizes(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(30, 255, shape, dtype=np.uint8)
    result = fake_pipeline(MANIFEST)(pixels)
    assert result.mask.shape == result.probability.shape == shape[:2]
    assert result.overlay().shape == (*shape[:2], 3)


@pytest.mark.parametrize("shape", [(31, 64), (1, 1), (0, 0), (64, 0)])
def test_too_small(shape: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput, match="array: got "):
        fake_pipeline(MANIFEST)(np.full(shape, 200, np.uint8))


@pytest.mark.parametrize("bad", [np.zeros((64, 64), np.float32), np.full((64, 64), np.nan), np.zeros((64, 64), bool)])
def test_arrays_whose_scale_would_be_guessed(bad: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match=r"expected a NumPy array .* of uint8 or uint16"):
        fake_pipeline(MANIFEST)(bad)


# --- networks that do not keep their word


def test_padding_tiles_of_the_last_batch_are_dropped() -> None:
    """A network that answers 1 for an all-zero tile must not be heard on the padding."""

    def answers_one_on_padding(batch: np.ndarray) -> np.ndarray:
        empty = ~batch.any(axis=(1, 2, 3), keepdims=True)
        return np.broadcast_to(empty, (len(batch), 1, 64, 64)).astype(np.float32)

    image = np.full((64, 192), 200, np.uint8)
    result = fake_pipeline(MANIFEST, always(0.0), answers_one_on_padding, batch=7)(image)
    assert not result.mask.any()


@pytest.mark.parametrize("role", ["large", "small"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.0001, -0.5])
def test_a_network_that_answers_no_probability_is_an_error(role: str, bad: float) -> None:
    def faulty(batch: np.ndarray) -> np.ndarray:
        made = np.zeros((batch.shape[0], 1, *batch.shape[2:]), np.float32)
        made[-1, 0, -1, -1] = bad
        return made

    networks = {"large": always(0.0), "small": always(0.0)} | {role: faulty}
    message = f"network '{role}' on fake: got values from .*; expected probabilities in .*; run `fundusrt verify`"
    with pytest.raises(BackendUnavailable, match=message):
        fake_pipeline(MANIFEST, networks["large"], networks["small"])(tiny_image())


@pytest.mark.parametrize("role", ["large", "small"])
@pytest.mark.parametrize("end", ["input", "output"])
@pytest.mark.parametrize(
    "other", [("x", ("n", 3, 64, 64)), ("image", ("n", 3, 64)), ("image", ("n", 4, 64, 64)), ("image", (1, 3, 64, 64))]
)
def test_tensors_must_be_the_manifest_s(role: str, end: str, other: tuple[str, tuple[int | str, ...]]) -> None:
    manifest = tiny_manifest(tile_px=64, whole_px=64)
    sessions = {}
    for name, network in manifest.networks.items():
        specs = {"input": network.input, "output": network.output}
        if name == role:
            specs[end] = TensorSpec(name=other[0], dtype="float32", shape=other[1])
        sessions[name] = FakeSession(always(0.0), specs["input"], specs["output"])
    with pytest.raises(BundleError, match=f"network '{role}', {end}: got .*; expected .* as in the manifest; export"):
        SegmentationPipeline(manifest, sessions["large"], sessions["small"], {})


def test_after_close() -> None:
    pipeline = fake_pipeline(MANIFEST)
    with pipeline:
        pipeline(tiny_image())
    with pytest.raises(
        BackendUnavailable, match="got a call after close\\(\\); expected an open session; load the pipeline again"
    ):
        pipeline(tiny_image())


def test_the_fake_session_is_a_session() -> None:
    assert isinstance(fake_pipeline(MANIFEST).large, InferenceSession)


# --- what goes with the answer


def test_timings_name_every_stage_in_order() -> None:
    timings = fake_pipeline(MANIFEST)(tiny_image()).timings_ms
    assert list(timings) == [
        "decode", "preprocess", "network_large", "gather", "network_small", "stitch", "upsample", "cgnr", "fuse",
        "lesions",
    ]  # fmt: skip
    assert all(ms >= 0.0 for ms in timings.values())


def test_provenance(tiny: Path) -> None:
    with fundusrt.load(tiny, threads=1) as pipeline:
        provenance = pipeline(from_array(tiny_image(300, 350), source_id="eye.png")).provenance
    bundle = fundusrt.Bundle.open(tiny)
    assert (provenance.bundle, provenance.bundle_version, provenance.bundle_sha256) == ("tiny", "1.0.0", bundle.sha256)
    assert (provenance.backend, provenance.device, provenance.precision) == ("onnxruntime", "cpu", "fp32")
    assert provenance.provider == "onnxruntime:CPUExecutionProvider"
    assert provenance.source == "eye.png"
    assert (provenance.image_px, provenance.grid_px, provenance.tiles) == ((300, 350), (320, 320), 25)
    assert provenance.bit_depth == 8
    assert provenance.options == bundle.manifest.postprocess.model_dump()
    assert {"python", "fundusrt", "numpy", "onnxruntime"} <= set(provenance.versions)
    assert provenance.warnings == ()


def test_scale_reaches_the_lesions() -> None:
    found = from_array(tiny_image())
    image = FundusImage(found.pixels, found.fov, "eye", mm_per_px=0.01, laterality="L")
    lesions = fake_pipeline(MANIFEST)(image).lesions
    assert all(lesion.area_mm2 == pytest.approx(lesion.area_px * 1e-4) for lesion in lesions)
    assert all(lesion.area_mm2 is None for lesion in fake_pipeline(MANIFEST)(found).lesions)
