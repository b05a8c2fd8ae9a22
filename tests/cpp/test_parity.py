"""The shipped bundles in C++ and in Python: the same plan, the same arrays, the same answer (rung R8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import fundusrt
from fundusrt.bundle import shipped_bundles
from fundusrt.field_frame import FieldFrame
from fundusrt.image import from_array
from fundusrt.manifest import FrameManifest
from fundusrt.systems import system_of
from tests.cpp.c_library import CLibrary
from tests.cpp.eyes import EYES, eye, real_names
from tests.cpp.probe import Probe

BUNDLES = ("leakage", "exudate", "enhance")
IMAGES = [*EYES, *real_names()]

# Where a frame is enlarged (a field of view smaller than the network's input), OpenCV's cubic comes from Intel's
# primitives, whose arithmetic is not public: a sample whose value lies on a half may come out one level off.
ENLARGED_SHARE = 3e-5


def is_enlarged(bundle: str, pixels: np.ndarray) -> bool:
    """Whether a bundle's frame is enlarged by cubic interpolation."""
    manifest = fundusrt.Bundle.open(bundle).manifest
    if not isinstance(manifest, FrameManifest):
        return False
    return FieldFrame.around(from_array(pixels), manifest.frame).height < manifest.frame.height_px


@pytest.fixture(scope="module")
def library(built: Path) -> CLibrary:
    return CLibrary(built / "libfundusrt_c.so")


@pytest.fixture(scope="module", params=BUNDLES)
def pair(library: CLibrary, request: pytest.FixtureRequest) -> Iterator[tuple[str, Any, Any]]:
    """Name, Python's pipeline and C++'s."""
    if not cv2.ipp.useIPP():
        pytest.skip("this OpenCV does not use Intel's primitives: it rounds some resizes otherwise")
    bundle = library.open_bundle(shipped_bundles()[request.param])
    pipeline = library.create(bundle)
    with fundusrt.load(request.param) as python:
        yield request.param, python, pipeline
    library.raw.frt_pipeline_destroy(pipeline)
    library.raw.frt_bundle_close(bundle)


@pytest.mark.parametrize("name", IMAGES)
def test_the_same_answer(library: CLibrary, pair: tuple[str, Any, Any], name: str) -> None:
    bundle, python, pipeline = pair
    pixels = eye(name)
    expected, result = python(pixels), library.run(pipeline, pixels)
    try:
        assert library.raw.frt_result_gradable(result) == int(expected.quality.gradable)
        if bundle == "enhance":
            np.testing.assert_array_equal(library.array(result, "image"), expected.image)
            return
        mask, probability = library.array(result, "mask") > 0, library.array(result, "probability")
        if is_enlarged(bundle, pixels):
            assert np.mean(mask != expected.mask) <= ENLARGED_SHARE
            assert np.abs(probability - expected.probability).max() <= 2e-2
            return
        np.testing.assert_array_equal(mask, expected.mask)
        assert np.abs(probability - expected.probability).max() <= 1e-6
        lesions = library.lesions(result)
        assert len(lesions) == len(expected.lesions)
        for made, lesion in zip(lesions, expected.lesions, strict=True):
            assert (made.area_px, tuple(made.box), tuple(made.centroid)) == (
                lesion.area_px,
                lesion.bbox,
                lesion.centroid,
            )
            assert made.mean_probability == pytest.approx(lesion.mean_probability, abs=1e-6)
    finally:
        library.raw.frt_result_free(result)


@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize("name", IMAGES)
def test_the_same_tensor(probe: Probe, bundle: str, name: str) -> None:
    """The arrays that tiles are cut from; their normalisation is compared in test_stages.py for every byte."""
    if not cv2.ipp.useIPP():
        pytest.skip("this OpenCV does not use Intel's primitives: it rounds some resizes otherwise")
    path, pixels = shipped_bundles()[bundle], eye(name)
    manifest = fundusrt.Bundle.open(path).manifest
    expected = system_of(manifest).preprocessed(manifest, from_array(pixels))
    made = probe.preprocessed(path, pixels, tuple(expected))
    for stage, array in expected.items():
        if is_enlarged(bundle, pixels):
            off = np.abs(made[stage].astype(int) - array)
            assert off.max() <= 1
            assert off.mean() <= ENLARGED_SHARE
        else:
            np.testing.assert_array_equal(made[stage], array, err_msg=stage)


def test_lesions_and_blanks_are_among_the_images(pair: tuple[str, Any, Any]) -> None:
    bundle, python, _ = pair
    if bundle == "leakage":
        found = [len(python(eye(name)).lesions) for name in EYES]
        assert sum(count > 3 for count in found) >= 3, found
