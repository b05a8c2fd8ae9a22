"""An enhanced frame back at the image's size, against the same written out pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fundusrt.field_frame import FieldFrame
from fundusrt.image import FundusImage
from fundusrt.manifest import FrameSpec
from fundusrt.native_enhancement import NATIVE, direct, residual, rgb_8_bit
from tests.sdk.resampling import bilinear


def setting(dtype: Any, colour: bool, shape: tuple[int, int]) -> tuple[FundusImage, FieldFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, np.iinfo(dtype).max + 1, (*shape, 3) if colour else shape).astype(dtype)
    fov = np.zeros(shape, bool)
    fov[3:-6, 5:-2] = True
    fov[10:14, 20:23] = False
    eye = FundusImage(pixels, fov, "eye")
    frame = FieldFrame.around(eye, FrameSpec(height_px=24, width_px=24))
    seen = rng.integers(0, 256, (24, 24, 3) if colour else (24, 24), dtype=np.uint8)
    enhanced = rng.uniform(-0.4, 1.4, (3, 24, 24)).astype(np.float32)
    return eye, frame, seen, enhanced


def expected(way: str, eye: FundusImage, frame: FieldFrame, seen: np.ndarray, enhanced: np.ndarray) -> np.ndarray:
    """In float64, one pixel at a time."""
    made = rgb_8_bit(eye).astype(np.float64)
    top = np.iinfo(eye.pixels.dtype).max
    for channel in range(3):
        before = (seen if seen.ndim == 2 else seen[..., channel]) / 255.0
        values = enhanced[channel] - before if way == "residual" else enhanced[channel].astype(np.float64)
        resized = bilinear(values, (frame.height, frame.width))
        for y, x in zip(*np.nonzero(eye.fov), strict=True):
            own = eye.pixels[y, x] if eye.pixels.ndim == 2 else eye.pixels[y, x, channel]
            value = resized[y - frame.top, x - frame.left] + (own / top if way == "residual" else 0.0)
            made[y, x, channel] = 255.0 * min(1.0, max(0.0, value))
    return made


@pytest.mark.parametrize("way", ["residual", "direct"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("shape", [(40, 61), (300, 37)])
def test_both_ways_by_hand(way: str, dtype: Any, colour: bool, shape: tuple[int, int]) -> None:
    arguments = setting(dtype, colour, shape)
    made = NATIVE[way](*arguments)
    assert (made.shape, made.dtype) == ((*shape, 3), np.uint8)
    # rounded once: half a level, and the float32 of a few sums of order 1
    np.testing.assert_allclose(made, expected(way, *arguments), rtol=0, atol=0.5 + 1e-3)


def test_the_image_and_the_network_s_answer_are_not_changed() -> None:
    eye, frame, seen, enhanced = setting(np.uint8, True, (40, 61))
    kept = eye.pixels.copy(), seen.copy(), enhanced.copy()
    for way in (residual, direct):
        way(eye, frame, seen, enhanced)
    for before, after in zip(kept, (eye.pixels, seen, enhanced), strict=True):
        np.testing.assert_array_equal(before, after)
