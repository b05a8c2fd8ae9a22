"""One image through the stages: the answer is the same however it comes in, and never silently wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

import fundusrt
from fundusrt import BackendUnavailable, BundleError, InvalidInput
from fundusrt.backends.base import InferenceSession
from fundusrt.backends.fake import FakeSession
from fundusrt.image import FundusImage, from_array
from fundusrt.manifest import CgnrSpec, PostprocessSpec, PreprocessSpec, TensorSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.testing import assert_maps_close, fake_pipeline, tiny_image, tiny_manifest

MANIFEST = tiny_manifest(tile_px=64, whole_px=48)


def maps(result: fundusrt.SegmentationResult) -> dict[str, np.ndarray]:
    return {"mask": result.mask, "probability": result.probability}


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


# --- the stages, against a plain composition


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


def bilinear(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Pixel centres, borders repeated: torch's interpolate with align_corners False."""
    for axis in (0, 1):
        length, target = values.shape[axis], shape[axis]
        at = np.clip((np.arange(target) + 0.5) * length / target - 0.5, 0, length - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, length - 1)
        weight = (at - low).reshape([-1, 1] if axis == 0 else [1, -1])
        values = np.take(values, low, axis) * (1 - weight) + np.take(values, high, axis) * weight
    return values


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


# --- the same answer however it comes


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


def test_padding_tiles_of_the_last_batch_are_dropped() -> None:
    """A network that answers 1 for an all-zero tile must not be heard on the padding."""

    def answers_one_on_padding(batch: np.ndarray) -> np.ndarray:
        empty = ~batch.any(axis=(1, 2, 3), keepdims=True)
        return np.broadcast_to(empty, (len(batch), 1, 64, 64)).astype(np.float32)

    image = np.full((64, 192), 200, np.uint8)
    result = fake_pipeline(MANIFEST, always(0.0), answers_one_on_padding, batch=7)(image)
    assert not result.mask.any()


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


# --- networks that do not keep their word


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
    with pytest.raises(BackendUnavailable, match="got a call after close\\(\\); load the pipeline again"):
        pipeline(tiny_image())


def test_the_fake_session_is_a_session() -> None:
    assert isinstance(fake_pipeline(MANIFEST).large, InferenceSession)


# --- what goes with the answer


def test_timings_name_every_stage_in_order() -> None:
    timings = fake_pipeline(MANIFEST)(tiny_image()).timings_ms
    assert list(timings) == [
        "decode", "preprocess", "network_large", "gather", "network_small", "stitch", "upsample", "fuse", "lesions",
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


def test_the_limit_on_megapixels_is_the_loader_s(tiny: Path, tmp_path: Path) -> None:
    write(tmp_path / "eye.png", tiny_image())
    with (
        fundusrt.load(tiny, threads=1, max_megapixels=0.001) as pipeline,
        pytest.raises(InvalidInput, match=r"eye.png: got 144 x 208 px \(0.0 megapixels\); expected at most 0.001"),
    ):
        pipeline(tmp_path / "eye.png")
