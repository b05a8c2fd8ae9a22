"""One image through the exudate pipeline: what is answered, and never silently wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt import BackendUnavailable, BundleError, InvalidInput
from fundusrt.backends.fake import FakeSession
from fundusrt.exudate_pipeline import ExudatePipeline
from fundusrt.image import FundusImage, from_array
from fundusrt.manifest import ExudatePostprocessSpec, FrameSpec, InputSpec, TensorSpec
from fundusrt.testing import (
    assert_maps_close,
    fake_exudate_pipeline,
    tiny_exudate_bundle,
    tiny_exudate_manifest,
    tiny_image,
    tiny_photograph,
)
from tests.sdk.resampling import bilinear, nearest

MANIFEST = tiny_exudate_manifest()
PLAIN = InputSpec()


def always(value: float, scale: int = 2) -> Any:
    return lambda batch: np.full((len(batch), 1, scale * batch.shape[2], scale * batch.shape[3]), value, np.float32)


def everywhere(pixels: np.ndarray) -> FundusImage:
    return from_array(pixels, fov=np.ones(pixels.shape[:2], bool))


# --- what is answered


def test_a_result_is_consistent() -> None:
    pixels = tiny_photograph()
    result = fake_exudate_pipeline(MANIFEST)(pixels)
    assert result.mask.shape == result.probability.shape == pixels.shape[:2]
    assert (result.mask.dtype, result.probability.dtype) == (np.bool_, np.float32)
    assert 0.0 <= result.probability.min() <= result.probability.max() <= 1.0
    np.testing.assert_array_equal(result.mask, result.probability >= np.float32(0.5))
    assert result.mask.any()
    assert not result.probability[~result.image.fov].any()
    assert result.area_px == sum(lesion.area_px for lesion in result.lesions)
    assert len(result.lesions) == 4
    assert result.quality.gradable
    assert list(result.timings_ms) == ["decode", "frame", "network", "upsample", "lesions"]


@pytest.mark.parametrize("upsample", ["bilinear", "nearest"])
@pytest.mark.parametrize("shape", [(100, 150), (53, 37), (64, 64)])
def test_the_whole_path_equals_its_parts_done_by_hand(upsample: Any, shape: tuple[int, int]) -> None:
    """A network that returns its input: framing, resampling and threshold are all that is left."""
    manifest = tiny_exudate_manifest(
        frame=FrameSpec(height_px=64, width_px=64, shrink="bilinear", enlarge="bilinear", outside="kept"),
        input=PLAIN,
        output_scale=1,
        postprocess=ExudatePostprocessSpec(upsample=upsample, threshold=0.4),
    )
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    result = fake_exudate_pipeline(manifest, lambda batch: batch[:, :1])(everywhere(pixels))
    side = max(shape)
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    canvas = np.zeros((side, side))
    canvas[top : top + shape[0], left : left + shape[1]] = pixels
    frame = np.floor(bilinear(canvas, (64, 64)) + 0.5) / 255.0
    back = (bilinear if upsample == "bilinear" else nearest)(frame, (side, side))
    expected = back[top : top + shape[0], left : left + shape[1]]
    # OpenCV rounds an 8-bit frame from weights of 11 bits: up to one grey level
    np.testing.assert_allclose(result.probability, expected, rtol=0, atol=1.01 / 255)
    np.testing.assert_array_equal(result.mask, result.probability >= np.float32(0.4))


def test_an_answer_twice_the_size_of_its_input_covers_the_same_frame() -> None:
    frame = FrameSpec(height_px=48, width_px=48, outside="kept")
    pixels = np.random.default_rng(1).integers(0, 256, (48, 48), dtype=np.uint8)

    def doubled(batch: np.ndarray) -> np.ndarray:
        return batch[:, :1].repeat(2, axis=2).repeat(2, axis=3)

    manifest = tiny_exudate_manifest(frame=frame, input=PLAIN, postprocess=ExudatePostprocessSpec(upsample="nearest"))
    made = fake_exudate_pipeline(manifest, doubled)(everywhere(pixels)).probability
    np.testing.assert_allclose(made, pixels / 255.0, rtol=0, atol=2.0**-23)


def test_the_network_sees_normalised_values_in_the_order_red_green_blue() -> None:
    seen: list[np.ndarray] = []

    def watch(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return always(0.0)(batch)

    spec = InputSpec(mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    manifest = tiny_exudate_manifest(frame=FrameSpec(height_px=32, width_px=32, outside="kept"), input=spec)
    pixels = np.random.default_rng(2).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    fake_exudate_pipeline(manifest, watch)(everywhere(pixels))
    expected = ((pixels / 255.0 - spec.mean) / spec.std).transpose(2, 0, 1)[None]
    assert (seen[0].shape, seen[0].dtype) == ((1, 3, 32, 32), np.float32)
    np.testing.assert_allclose(seen[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_green_alone(channels: Any) -> None:
    spec = InputSpec(colour="green", channels=channels)
    manifest = tiny_exudate_manifest(input=spec)
    pixels = tiny_photograph()
    colour, green = fake_exudate_pipeline(manifest), np.ascontiguousarray(pixels[..., 1])
    fov = from_array(pixels).fov
    expected = colour(from_array(green, fov=fov))
    assert expected.mask.any()
    changed = pixels.copy()
    changed[..., 0], changed[..., 2] = 0, 255
    for image in (pixels, changed):
        assert_maps_close({"p": colour(from_array(image, fov=fov)).probability}, {"p": expected.probability})


def test_grey_is_grey_however_it_was_stored() -> None:
    grey = tiny_image()
    pipeline = fake_exudate_pipeline(MANIFEST)
    fov = from_array(grey).fov
    expected = pipeline(from_array(grey, fov=fov)).probability
    for pixels in (np.repeat(grey[..., None], 3, axis=2), grey.astype(np.uint16) * np.uint16(257)):
        made = pipeline(from_array(pixels, fov=fov))
        np.testing.assert_array_equal(made.probability, expected)
    assert made.provenance.bit_depth == 16


def test_nothing_outside_the_field_even_from_a_network_that_sees_it_everywhere() -> None:
    fov = np.zeros((90, 130), bool)
    fov[20:60, 70:75] = True
    result = fake_exudate_pipeline(MANIFEST, always(1.0))(from_array(np.full(fov.shape, 90, np.uint8), fov=fov))
    np.testing.assert_array_equal(result.mask, fov)
    np.testing.assert_array_equal(result.probability, fov.astype(np.float32))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_a_probability_equal_to_the_threshold_is_in_the_mask(threshold: float) -> None:
    manifest = tiny_exudate_manifest(postprocess=ExudatePostprocessSpec(threshold=threshold))
    image = np.full((64, 64), 200, np.uint8)
    assert fake_exudate_pipeline(manifest, always(threshold))(image).mask.all()
    below = float(np.nextafter(np.float32(threshold), np.float32(0.0)))
    assert not fake_exudate_pipeline(manifest, always(below))(image).mask.any()


@pytest.mark.parametrize("shape", [(32, 32), (32, 33, 3), (37, 411), (500, 32), (97, 101, 3)])
def test_sizes(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(30, 255, shape, dtype=np.uint8)
    result = fake_exudate_pipeline(MANIFEST)(pixels)
    assert result.mask.shape == result.probability.shape == shape[:2]
    assert result.overlay().shape == (*shape[:2], 3)


def test_a_black_image_is_an_answer() -> None:
    pipeline = fake_exudate_pipeline(MANIFEST, always(1.0))
    result = pipeline(np.zeros((64, 70, 3), np.uint8))
    assert (result.quality.gradable, result.quality.reasons) == (False, ("no field of view found: the image is black",))
    assert result.mask.shape == (64, 70)
    assert not result.mask.any()
    assert not result.probability.any()
    assert result.provenance.frame is None  # type: ignore[attr-defined]
    assert list(result.timings_ms) == ["decode"]
    assert pipeline.sessions["segmentation"].shapes == []  # type: ignore[attr-defined]


def test_the_provenance_says_what_ran(tmp_path: Path) -> None:
    folder = tiny_exudate_bundle(tmp_path / "b")
    with fundusrt.load(folder, threads=1) as pipeline:
        assert isinstance(pipeline, ExudatePipeline)
        provenance = pipeline(from_array(tiny_photograph(), source_id="eye.jpg")).provenance
    assert provenance.bundle_sha256 == fundusrt.Bundle.open(folder).sha256
    assert provenance.provider == "onnxruntime:CPUExecutionProvider"
    assert (provenance.source, provenance.image_px, provenance.bit_depth) == ("eye.jpg", (144, 208), 8)
    assert (provenance.input_px, provenance.frame) == ((96, 96), (6, 38, 138, 170))
    assert provenance.options == {"upsample": "bilinear", "threshold": 0.5}
    assert provenance.work() == "1 frame of 96 x 96 px"


# --- a network or an image that does not keep its word


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.0001, -0.5])
def test_a_network_that_answers_no_probability_is_an_error(bad: float) -> None:
    def faulty(batch: np.ndarray) -> np.ndarray:
        made = always(0.0)(batch)
        made[0, 0, -1, -1] = bad
        return made

    message = "network 'segmentation' on fake: got values from .*; expected probabilities in .*; run `fundusrt verify`"
    with pytest.raises(BackendUnavailable, match=message):
        fake_exudate_pipeline(MANIFEST, faulty)(tiny_photograph())


@pytest.mark.parametrize("end", ["input", "output"])
def test_tensors_must_be_the_manifest_s(end: str) -> None:
    network = MANIFEST.networks["segmentation"]
    specs = {"input": network.input, "output": network.output}
    specs[end] = TensorSpec(name=specs[end].name, dtype="float32", shape=("n", 3, 64, 64))
    session = FakeSession(always(0.0), specs["input"], specs["output"])
    with pytest.raises(BundleError, match=f"network 'segmentation', {end}: got .*; expected .* as in the manifest"):
        ExudatePipeline(MANIFEST, {"segmentation": session}, {})


@pytest.mark.parametrize("bad", [np.zeros((64, 64), np.float32), np.zeros((20, 64), np.uint8)])
def test_images_that_cannot_be_used(bad: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="array: got"):
        fake_exudate_pipeline(MANIFEST)(bad)


def test_a_strip_is_refused_with_a_reason() -> None:
    strip = from_array(np.full((32, 20000), 90, np.uint8), fov=np.ones((32, 20000), bool))
    with pytest.raises(InvalidInput, match="expected a frame of at most 268 megapixels; crop the image to one eye"):
        fake_exudate_pipeline(MANIFEST)(strip)


def test_after_close() -> None:
    with fake_exudate_pipeline(MANIFEST) as pipeline:
        pipeline(tiny_photograph())
    with pytest.raises(BackendUnavailable, match=r"got a call after close\(\)"):
        pipeline(tiny_photograph())
