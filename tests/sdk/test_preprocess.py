"""Pre-processing: golden numbers, exact integer rules, and what must not change."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, getcontext
from fractions import Fraction
from math import floor
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundusrt.image import FundusImage, from_array
from fundusrt.manifest import ClaheSpec, PreprocessSpec, TileSpec, WholeImageSpec
from fundusrt.preprocess import enhance, fit_to_grid, gamma_table, nearest_index, shrink_whole, to_tensor
from fundusrt.testing import tiny_image
from tests.tolerances import GREY_LEVEL, TO_TENSOR

PLAIN = PreprocessSpec(clahe=None, gamma=1.0)
GOLDEN_GREY = [95, 139, 121, 254, 120, 116, 0]
GOLDEN_COLOUR = [[194, 202, 154], [156, 147, 118], [220, 145, 140], [158, 126, 121]]


def everywhere(pixels: np.ndarray) -> FundusImage:
    return from_array(pixels, fov=np.ones(pixels.shape[:2], bool))


def colour_image() -> np.ndarray:
    """A smooth colour picture, far from the edge of the gamut."""
    y, x = np.mgrid[0:96, 0:128]
    red = 120 + 40 * np.sin(x / 17.0)
    green = 100 + 30 * np.cos(y / 11.0)
    blue = 80 + 20 * np.sin((x + y) / 23.0)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


# --- 16 bit to 8, gamma


def test_every_16_bit_value_is_rounded_half_up() -> None:
    values = np.arange(65536, dtype=np.uint16)
    made = enhance(everywhere(values.reshape(256, 256)), PLAIN).ravel()
    exact = [floor(Fraction(int(value) * 255, 65535) + Fraction(1, 2)) for value in values]
    np.testing.assert_array_equal(made, exact)


def test_an_8_bit_image_stored_in_16_bits_gives_the_same() -> None:
    pixels = tiny_image()
    wide = pixels.astype(np.uint16) * np.uint16(257)
    fov = from_array(pixels).fov
    spec = PreprocessSpec()
    np.testing.assert_array_equal(enhance(from_array(wide, fov=fov), spec), enhance(from_array(pixels, fov=fov), spec))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.2, 2.2])
def test_gamma_table_is_the_exact_rule(gamma: float) -> None:
    getcontext().prec = 50
    exact = [0]
    for level in range(1, 256):
        power = (Decimal(level) / 255) ** (1 / Decimal(gamma))
        exact.append(int((255 * power).quantize(Decimal(1), ROUND_HALF_UP)))
    np.testing.assert_array_equal(gamma_table(gamma), exact)


def test_gamma_table_golden() -> None:
    table = gamma_table(1.2)
    assert table.dtype == np.uint8
    assert [int(table[i]) for i in (0, 1, 2, 16, 64, 128, 200, 254, 255)] == [0, 3, 4, 25, 81, 144, 208, 254, 255]


def test_gamma_is_applied_to_grey_and_colour() -> None:
    spec = PreprocessSpec(clahe=None, gamma=1.2)
    for pixels in (tiny_image(), colour_image()):
        np.testing.assert_array_equal(enhance(everywhere(pixels), spec), gamma_table(1.2)[pixels])


# --- CLAHE


def test_golden_numbers_of_the_default_on_grey() -> None:
    made = enhance(from_array(tiny_image()), PreprocessSpec())
    picked = [int(made[y, x]) for y, x in ((72, 104), (40, 90), (60, 134), (92, 117), (100, 70), (20, 104), (0, 0))]
    np.testing.assert_allclose(picked, GOLDEN_GREY, rtol=0, atol=GREY_LEVEL)
    assert made[0, 0] == 0


def test_golden_numbers_of_the_default_on_colour() -> None:
    made = enhance(everywhere(colour_image()), PreprocessSpec())
    picked = [made[y, x].tolist() for y, x in ((0, 0), (48, 64), (95, 127), (30, 100))]
    np.testing.assert_allclose(picked, GOLDEN_COLOUR, rtol=0, atol=2 * GREY_LEVEL)


def test_equal_channels_are_grey() -> None:
    grey = tiny_image()
    spec = PreprocessSpec()
    made = enhance(from_array(np.repeat(grey[..., None], 3, axis=2)), spec)
    assert made.ndim == 2
    np.testing.assert_array_equal(made, enhance(from_array(grey), spec))


def test_one_coloured_pixel_makes_a_colour_image() -> None:
    pixels = np.repeat(tiny_image()[..., None], 3, axis=2)
    pixels[70, 100, 2] ^= 1
    assert enhance(from_array(pixels), PreprocessSpec()).ndim == 3


def test_clahe_changes_lightness_and_not_colour() -> None:
    pixels = colour_image()
    made = enhance(everywhere(pixels), PreprocessSpec(gamma=1.0))
    before, after = (cv2.cvtColor(array, cv2.COLOR_RGB2LAB).astype(int) for array in (pixels, made))
    change = np.abs(after - before)
    assert change[..., 0].max() > 30
    # a and b are stored in whole steps, go through RGB and back, and clip where the lightness left the gamut.
    assert np.percentile(change[..., 1:], 95) <= 2
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(np.ascontiguousarray(before[..., 0].astype(np.uint8)))
    assert np.percentile(np.abs(after[..., 0] - expected.astype(int)), 95) <= 2


@pytest.mark.parametrize("field", ["clip", "grid"])
def test_clahe_takes_its_parameters_from_the_manifest(field: str) -> None:
    image = from_array(tiny_image())
    other = ClaheSpec(**{field: {"clip": 4.0, "grid": 4}[field]})
    assert not np.array_equal(enhance(image, PreprocessSpec()), enhance(image, PreprocessSpec(clahe=other)))


def test_clahe_off() -> None:
    pixels = tiny_image()
    np.testing.assert_array_equal(enhance(everywhere(pixels), PLAIN), pixels)


# --- field of view


@pytest.mark.parametrize("colour", [False, True])
def test_black_outside_the_field_of_view_and_untouched_inside(colour: bool) -> None:
    pixels = colour_image() if colour else tiny_image()
    fov = np.zeros(pixels.shape[:2], bool)
    fov[10:50, 20:90] = True
    made = enhance(from_array(pixels, fov=fov), PreprocessSpec())
    assert not made[~fov].any()
    np.testing.assert_array_equal(made[fov], enhance(everywhere(pixels), PreprocessSpec())[fov])


def test_the_image_is_never_changed() -> None:
    for pixels in (tiny_image(), colour_image(), tiny_image().astype(np.uint16) * np.uint16(257)):
        kept = pixels.copy()
        image = from_array(pixels, fov=np.tri(*pixels.shape[:2], dtype=bool))
        enhance(image, PreprocessSpec())
        enhance(image, PLAIN)
        np.testing.assert_array_equal(pixels, kept)


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (32, 500, 3), (1, 1), (1, 7), (5, 3, 3)])
def test_small_and_odd_sizes(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    made = enhance(FundusImage(pixels, np.ones(shape[:2], bool), "small"), PreprocessSpec())
    assert made.shape == shape
    assert made.dtype == np.uint8


# --- sizes


@given(source=st.integers(1, 6000), target=st.integers(1, 6000))
def test_nearest_index_is_the_exact_centre_rule(source: int, target: int) -> None:
    index = nearest_index(source, target)
    some = sorted({0, target // 3, target // 2, max(0, target - 2), target - 1})
    exact = [floor((Fraction(i) + Fraction(1, 2)) * Fraction(source, target)) for i in some]
    assert index[some].tolist() == exact
    assert index[0] >= 0
    assert index[-1] <= source - 1
    assert (np.diff(index) >= 0).all()


@given(n=st.integers(1, 300))
def test_nearest_index_of_the_same_size_is_the_identity(n: int) -> None:
    np.testing.assert_array_equal(nearest_index(n, n), np.arange(n))


@pytest.mark.parametrize("shape", [(100, 130), (100, 130, 3), (300, 20), (1, 1)])
@pytest.mark.parametrize("rounding", ["nearest", "ceil", "floor"])
def test_fit_to_grid(shape: tuple[int, ...], rounding: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    made = fit_to_grid(pixels, TileSpec(size=64, round=rounding))
    height, width = made.shape[:2]
    assert height % 64 == width % 64 == 0
    assert made.shape[2:] == shape[2:]
    for y in (0, height // 2, height - 1):
        for x in (0, width // 3, width - 1):
            source = (2 * y + 1) * shape[0] // (2 * height), (2 * x + 1) * shape[1] // (2 * width)
            np.testing.assert_array_equal(made[y, x], pixels[source])


def test_fit_to_grid_leaves_multiples_alone() -> None:
    pixels = np.zeros((128, 192), np.uint8)
    assert fit_to_grid(pixels, TileSpec(size=64)) is pixels


def test_shrink_whole_by_area_is_the_block_mean() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (192, 256, 3), dtype=np.uint8)
    made = shrink_whole(pixels, WholeImageSpec(size=64))
    assert made.shape == (64, 64, 3)
    means = pixels.reshape(64, 3, 64, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(made, means, rtol=0, atol=0.5 + 1e-6)


def test_shrink_whole_by_bilinear_samples_at_pixel_centres() -> None:
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8), (128, 128)).copy()
    made = shrink_whole(ramp, WholeImageSpec(size=64, interpolation="bilinear"))
    np.testing.assert_allclose(made[10], 2 * np.arange(64) + 0.5, rtol=0, atol=0.5 + 1e-6)


# --- tensors


def test_to_tensor_of_grey_is_repeated() -> None:
    window = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tensor = to_tensor(window, PreprocessSpec())
    assert tensor.shape == (3, 16, 16)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor[0].astype(np.float64), window / 255.0, rtol=0, atol=TO_TENSOR)
    np.testing.assert_array_equal(tensor[1], tensor[0])
    np.testing.assert_array_equal(tensor[2], tensor[0])
    assert tensor.min() == 0.0
    assert tensor.max() == 1.0


def test_to_tensor_of_colour_keeps_rgb_order() -> None:
    window = colour_image()
    tensor = to_tensor(window, PreprocessSpec())
    np.testing.assert_allclose(tensor.astype(np.float64), np.moveaxis(window / 255.0, 2, 0), rtol=0, atol=TO_TENSOR)


def test_to_tensor_takes_strided_windows() -> None:
    image = colour_image()
    window = image[13:45, 21:53]
    np.testing.assert_array_equal(to_tensor(window, PreprocessSpec()), to_tensor(window.copy(), PreprocessSpec()))


def test_to_tensor_normalises_by_mean_and_std() -> None:
    spec = PreprocessSpec(mean=(0.5, 0.25, 0.0), std=(0.5, 2.0, 1.0))
    window = colour_image()
    expected = (np.moveaxis(window / 255.0, 2, 0) - np.array(spec.mean)[:, None, None]) / np.array(spec.std)[
        :, None, None
    ]
    # The error before the division, and one more rounding, divided by the smallest std.
    np.testing.assert_allclose(to_tensor(window, spec).astype(np.float64), expected, rtol=0, atol=4 * TO_TENSOR)


def test_to_tensor_for_one_channel() -> None:
    spec = PreprocessSpec(channels=1, mean=(0.5, 9.0, 9.0))
    grey = to_tensor(np.full((4, 4), 255, np.uint8), spec)
    assert grey.shape == (1, 4, 4)
    assert (grey == 0.5).all()
    window = colour_image()
    luma = window @ np.array([0.299, 0.587, 0.114])
    made = to_tensor(window, spec)[0].astype(np.float64) + 0.5
    # OpenCV rounds to whole levels, with weights of 14 bits: three times 255 * 2**-15 more.
    np.testing.assert_allclose(made * 255.0, luma, rtol=0, atol=0.5 + 3 * 255 * 2.0**-15)
