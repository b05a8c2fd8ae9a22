"""Arrays as images: which are accepted, which are refused, and what an image keeps."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt.image import FundusImage, from_array
from tests.sdk import image_files as make
from tests.sdk.image_files import ALPHA, GREY, RGB, refusal


@given(
    height=st.integers(32, 50),
    width=st.integers(32, 50),
    channels=st.sampled_from([1, 3]),
    bits=st.sampled_from([8, 16]),
    layout=st.sampled_from(["C", "F", "reversed", "strided", "big endian", "read only"]),
)
@settings(deadline=None, max_examples=60)
def test_any_layout_of_an_allowed_array(height, width, channels, bits, layout):
    pixels = make.picture(height, width, channels=channels, bits=bits)
    given_array = {
        "C": lambda: pixels,
        "F": lambda: np.asfortranarray(pixels),
        "reversed": lambda: pixels[::-1, ::-1].copy()[::-1, ::-1],
        "strided": lambda: np.repeat(pixels, 2, 1)[:, ::2],
        "big endian": lambda: pixels.astype(pixels.dtype.newbyteorder(">")),
        "read only": lambda: np.frombuffer(pixels.tobytes(), pixels.dtype).reshape(pixels.shape),
    }[layout]()
    image = from_array(given_array)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.dtype == pixels.dtype
    assert image.pixels.dtype.isnative
    assert image.pixels.flags.c_contiguous
    assert image.fov.dtype == np.bool_
    assert image.fov.shape == (height, width)
    assert image.source_id == "array"


def test_image_is_read_only_and_the_callers_arrays_stay_writable():
    pixels, fov = RGB.copy(), np.ones(RGB.shape[:2], np.bool_)
    image = from_array(pixels, source_id="left eye", fov=fov)
    for array in (image.pixels, image.fov):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 0
    with pytest.raises(FrozenInstanceError):
        image.source_id = "other"  # pyright: ignore
    pixels[0, 0] = 7  # the array is shared, and still the caller's
    fov[0, 0] = False
    assert (image.pixels[0, 0] == 7).all()
    assert not image.fov[0, 0]
    assert image.source_id == "left eye"


ARRAY = "expected a NumPy array (H, W) grey or (H, W, 3) RGB of uint8 or uint16; "


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([[1, 2], [3, 4]], f"array: got list; {ARRAY}convert it with numpy.asarray first"),
        (None, f"array: got NoneType; {ARRAY}convert"),
        (
            RGB.astype(np.float32) / 255,
            f"array: got shape (48, 64, 3), float32; {ARRAY}its scale would have to be guessed",
        ),
        (np.full((48, 64), np.nan), f"array: got shape (48, 64), float64; {ARRAY}its scale would have to be guessed"),
        (GREY > 9, f"array: got shape (48, 64), bool; {ARRAY}a mask is not an image: pass the image itself"),
        (GREY.astype(np.int64), f"array: got shape (48, 64), int64; {ARRAY}convert it: array.astype(numpy.uint8) or"),
        (GREY.astype(np.int8), f"array: got shape (48, 64), int8; {ARRAY}convert it: "),
        (GREY.astype(np.uint32), f"array: got shape (48, 64), uint32; {ARRAY}convert it: "),
        (GREY.astype(object), f"array: got shape (48, 64), object; {ARRAY}convert it: "),
        (GREY.astype(complex), f"array: got shape (48, 64), complex128; {ARRAY}convert it: "),
        (GREY[:, :, None], f"array: got shape (48, 64, 1), uint8; {ARRAY}drop the last axis: array[..., 0]"),
        (ALPHA[:, :, :2], f"array: got shape (48, 64, 2), uint8; {ARRAY}drop the alpha channel: array[..., 0]"),
        (ALPHA, f"array: got shape (48, 64, 4), uint8; {ARRAY}drop the alpha channel: array[..., :3]"),
        (make.picture(channels=5), f"array: got shape (48, 64, 5), uint8; {ARRAY}choose one grey or three colour"),
        (
            np.moveaxis(RGB, -1, 0),
            f"array: got shape (3, 48, 64), uint8; {ARRAY}move the channels last: numpy.moveaxis",
        ),
        (RGB[None], f"array: got shape (1, 48, 64, 3), uint8; {ARRAY}pass one image of the batch at a time"),
        (GREY[0], f"array: got shape (64,), uint8; {ARRAY}choose one grey or three colour channels"),
        (np.uint8(7), "array: got uint8; expected a NumPy array"),
        (GREY[:0], f"array: got shape (0, 64), uint8; {ARRAY}pass an array that holds pixels"),
        (GREY[:1, :1], "array: got 1 x 1 px; expected at least 32 px on each side; pass the full-size image"),
        (np.ma.masked_equal(GREY, 3), f"array: got a masked array; {ARRAY}fill it: array.filled(0)"),
    ],
)
def test_arrays_that_are_refused(array, message):
    assert message in refusal(from_array, array)


@pytest.mark.parametrize(
    ("fov", "message"),
    [
        (
            GREY,
            "array: fov: got shape (48, 64), uint8; expected a bool array of shape (48, 64), like the image; thresh",
        ),
        (
            GREY[:-1] > 9,
            "array: fov: got shape (47, 64), bool; expected a bool array of shape (48, 64), like the image; m",
        ),
        (RGB > 9, "array: fov: got shape (48, 64, 3), bool; expected a bool array of shape (48, 64)"),
        (
            "all",
            "array: fov: got str; expected a bool array of shape (48, 64), like the image; leave it out to have it",
        ),
    ],
)
def test_fields_of_view_that_are_refused(fov, message):
    assert message in refusal(from_array, RGB, fov=fov)


def test_given_fov_is_kept_and_a_missing_one_is_found():
    frame = np.zeros((100, 100), np.uint8)
    frame[20:80, 20:80] = 120
    assert not from_array(frame).fov[0, 0]
    assert from_array(frame, fov=np.ones((100, 100), np.bool_)).fov[0, 0]


@pytest.mark.parametrize("value", [0, -0.01, float("nan"), float("inf")])
def test_scale_must_be_a_length(value):
    message = refusal(FundusImage, GREY, GREY > 0, "eye", mm_per_px=value)
    assert message.startswith(f"eye: mm_per_px: got {value}; expected a positive number of millimetres per pixel; pass")


def test_laterality_is_left_or_right():
    assert FundusImage(GREY, GREY > 0, "eye", 0.01, "L").laterality == "L"
    message = refusal(FundusImage, GREY, GREY > 0, "eye", laterality="OD")
    assert message == "eye: laterality: got 'OD'; expected 'L', 'R' or None; pass None where the side is unknown"


def test_images_differ_by_identity():
    image = from_array(GREY)
    assert image == image
    assert image != from_array(GREY)
    assert len({image, image}) == 1
