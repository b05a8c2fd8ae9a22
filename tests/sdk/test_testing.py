"""The helpers that other people's tests rely on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fundusrt
from fundusrt.manifest import PostprocessSpec, PreprocessSpec
from fundusrt.testing import assert_maps_close, fake_pipeline, tiny_bundle, tiny_image, tiny_manifest
from tests.tolerances import SIGMOID_FLOAT32


def test_equal_maps_pass() -> None:
    maps = {"a": np.zeros((2, 3), np.float32), "mask": np.ones((2, 3), bool), "empty": np.zeros((0, 3))}
    assert_maps_close(maps, {name: array.copy() for name, array in maps.items()})


def test_every_difference_is_reported_at_once() -> None:
    zeros = np.zeros((2, 3), np.float32)
    off = zeros.copy()
    off[1, 2], off[0, 0] = 0.5, 0.25
    bad = zeros.copy()
    bad[0, 1] = np.nan
    actual = {"off": off, "bad": bad, "shape": zeros[:1], "type": zeros.astype(float), "more": zeros, "good": zeros}
    expected = dict.fromkeys(("off", "bad", "shape", "type", "missing", "good"), zeros)
    with pytest.raises(AssertionError) as caught:
        assert_maps_close(actual, expected, max_abs=0.125)
    assert str(caught.value).splitlines() == [
        "missing: missing",
        "more: not expected",
        "off: 2 of 6 values differ by more than 0.125; the most at (1, 2): got 0.5, expected 0.0, difference 0.5",
        "bad: 1 values of the actual array are NaN or infinite",
        "shape: got (1, 3) float32, expected (2, 3) float32",
        "type: got (2, 3) float64, expected (2, 3) float32",
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_differ_even_from_themselves(value: float) -> None:
    array = np.full((2, 2), value, np.float32)
    with pytest.raises(AssertionError, match="4 values of the actual array are NaN or infinite"):
        assert_maps_close({"p": array}, {"p": array}, max_abs=1e9)


def test_the_tolerance_is_inclusive_and_integers_do_not_wrap() -> None:
    a, b = np.uint8([0, 255]), np.uint8([1, 254])
    assert_maps_close({"x": a}, {"x": b}, max_abs=1)
    with pytest.raises(AssertionError, match="difference 255"):
        assert_maps_close({"x": a}, {"x": a[::-1]}, max_abs=1)


@pytest.mark.parametrize(
    ("preprocess", "postprocess"),
    [
        (None, None),
        (PreprocessSpec(channels=1, clahe=None, mean=(0.1, 0.0, 0.0)), PostprocessSpec(order="cgnr_only")),
        (PreprocessSpec(gamma=1.0), PostprocessSpec(upsample_on="logit", order="fuse_then_cgnr", threshold=0.6)),
    ],
)
def test_a_tiny_bundle_loads_and_gives_what_its_functions_give(
    tmp_path: Path, preprocess: PreprocessSpec | None, postprocess: PostprocessSpec | None
) -> None:
    folder = tiny_bundle(tmp_path / "b", tile_px=64, whole_px=48, preprocess=preprocess, postprocess=postprocess)
    manifest = fundusrt.Bundle.open(folder).manifest
    with fundusrt.load(folder, threads=1) as pipeline:
        made = pipeline(tiny_image())
    expected = fake_pipeline(manifest)(tiny_image())
    assert made.mask.any()
    assert_maps_close({"mask": made.mask}, {"mask": expected.mask})
    assert_maps_close({"p": made.probability}, {"p": expected.probability}, max_abs=SIGMOID_FLOAT32)


def test_the_default_bundle_has_the_paper_s_sizes(tmp_path: Path) -> None:
    with fundusrt.load(tiny_bundle(tmp_path / "b"), threads=1) as pipeline:
        result = pipeline(tiny_image(300, 800))
    assert result.provenance.grid_px == (512, 1024)
    assert len(result.lesions) == 4


def test_the_tiny_image_has_a_field_of_view_and_four_spots() -> None:
    result = fake_pipeline(tiny_manifest(tile_px=64, whole_px=64))(tiny_image())
    assert 0.3 < result.image.fov.mean() < 0.7
    assert len(result.lesions) == 4
