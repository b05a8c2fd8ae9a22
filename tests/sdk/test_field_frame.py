"""The frame around the field of view: where it lies, what the network sees, and maps back in their place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundusrt import InvalidInput
from fundusrt.field_frame import FieldFrame
from fundusrt.image import FundusImage
from fundusrt.manifest import FrameSpec
from tests.sdk.resampling import bilinear, nearest
from tests.tolerances import GREY_LEVEL


def eye_with(fov: np.ndarray, pixels: np.ndarray | None = None) -> FundusImage:
    return FundusImage(np.full(fov.shape, 99, np.uint8) if pixels is None else pixels, fov, "eye")


def box_fov(shape: tuple[int, int], y0: int, x0: int, height: int, width: int) -> np.ndarray:
    fov = np.zeros(shape, bool)
    fov[y0 : y0 + height, x0 : x0 + width] = True
    return fov


def square(side: int, **fields: Any) -> FrameSpec:
    return FrameSpec(height_px=side, width_px=side, **fields)


# --- geometry


@given(
    image=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    shape=st.tuples(st.integers(16, 60), st.integers(16, 60)),
    data=st.data(),
)
def test_the_frame_is_the_smallest_of_its_shape_and_centred_on_the_field(
    image: tuple[int, int], shape: tuple[int, int], data: st.DataObject
) -> None:
    height, width = (data.draw(st.integers(1, length)) for length in image)
    y0, x0 = data.draw(st.integers(0, image[0] - height)), data.draw(st.integers(0, image[1] - width))
    spec = FrameSpec(height_px=shape[0], width_px=shape[1])
    frame = FieldFrame.around(eye_with(box_fov(image, y0, x0, height, width)), spec)
    # holds the field, and touches it on two sides at least
    assert (frame.height == height and frame.width >= width) or (frame.width == width and frame.height >= height)
    # and is off its shape by less than the pixel that was rounded up
    assert abs(frame.height * shape[1] - frame.width * shape[0]) < max(shape)
    margins = (
        (y0 - frame.top, frame.top + frame.height - y0 - height),
        (x0 - frame.left, frame.left + frame.width - x0 - width),
    )
    assert all(0 <= after - before <= 1 and before >= 0 for before, after in margins)


@pytest.mark.parametrize(
    ("field", "shape", "box"),
    [
        ((10, 20, 40, 40), (32, 32), (10, 20, 50, 60)),
        ((10, 20, 40, 50), (32, 32), (5, 20, 55, 70)),
        ((10, 20, 41, 50), (32, 32), (6, 20, 56, 70)),
        ((0, 0, 50, 90), (32, 32), (-20, 0, 70, 90)),
        ((7, 3, 1, 1), (32, 32), (7, 3, 8, 4)),
        ((7, 3, 20, 20), (32, 48), (7, -2, 27, 28)),
        ((7, 3, 21, 20), (32, 48), (7, -3, 28, 29)),
    ],
)
def test_boxes(field: tuple[int, int, int, int], shape: tuple[int, int], box: tuple[int, ...]) -> None:
    spec = FrameSpec(height_px=shape[0], width_px=shape[1])
    assert FieldFrame.around(eye_with(box_fov((60, 90), *field)), spec).box == box


def test_no_field_of_view_is_refused() -> None:
    message = "eye: got no field of view; expected an image of an eye; pass another image, or its field of view"
    with pytest.raises(InvalidInput, match=message):
        FieldFrame.around(eye_with(np.zeros((40, 50), bool)), square(32))


def test_a_strip_whose_frame_no_memory_holds_is_refused() -> None:
    message = (
        "eye: got a field of view of 32 x 20000 px, whose frame is 20000 x 20000 px; "
        "expected a frame of at most 268 megapixels; crop the image to one eye"
    )
    with pytest.raises(InvalidInput, match=message):
        FieldFrame.around(eye_with(np.ones((32, 20000), bool)), square(32))


# --- cutting


def framed(pixels: np.ndarray, fov: np.ndarray, spec: FrameSpec) -> np.ndarray:
    return FieldFrame.around(eye_with(fov, pixels), spec).cut(pixels, fov)


@pytest.mark.parametrize("colour", [False, True])
def test_at_its_own_size_the_frame_is_the_image_in_black(colour: bool) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 256, (40, 64, 3) if colour else (40, 64), dtype=np.uint8)
    fov = box_fov((40, 64), 0, 0, 40, 64)
    made = framed(pixels, fov, square(64))
    assert made.shape == (64, 64, *pixels.shape[2:])
    np.testing.assert_array_equal(made[12:52], pixels)
    assert not made[:12].any()
    assert not made[52:].any()


def test_pixels_outside_the_field_are_kept_or_black() -> None:
    pixels = np.random.default_rng(1).integers(1, 256, (50, 60), dtype=np.uint8)
    fov = box_fov((50, 60), 10, 15, 32, 32)
    fov[12:14, 20:25] = False
    crop = pixels[10:42, 15:47]
    np.testing.assert_array_equal(framed(pixels, fov, square(32, outside="kept")), crop)
    np.testing.assert_array_equal(framed(pixels, fov, square(32)), crop * fov[10:42, 15:47])


def test_nothing_bright_comes_in_from_outside_by_the_resize() -> None:
    """The surround is white; inside is dark: averages over the rim would show it, inside and out."""
    y, x = np.mgrid[:97, :97]
    fov = np.hypot(y - 48, x - 48) < 45
    pixels = np.where(fov, 20, 255).astype(np.uint8)
    made = framed(pixels, fov, square(31))
    assert made.max() <= 20
    assert framed(pixels, fov, square(31, outside="kept")).max() > 100


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_shrinking_by_area_is_the_mean_of_each_block(factor: int) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (32 * factor, 32 * factor), dtype=np.uint8)
    made = framed(pixels, np.ones(pixels.shape, bool), square(32))
    blocks = pixels.reshape(32, factor, 32, factor).mean(axis=(1, 3))
    np.testing.assert_allclose(made, blocks, rtol=0, atol=0.5 + 1e-6)


def test_shrinking_and_enlarging_by_the_interpolation_of_the_manifest() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (71, 71), dtype=np.uint8)
    everywhere = np.ones(pixels.shape, bool)
    made = framed(pixels, everywhere, square(40, shrink="bilinear"))
    np.testing.assert_allclose(made, bilinear(pixels.astype(float), (40, 40)), rtol=0, atol=GREY_LEVEL)
    assert np.abs(made.astype(int) - framed(pixels, everywhere, square(40))).max() > 20
    made = framed(pixels, everywhere, square(160, enlarge="bilinear"))
    np.testing.assert_allclose(made, bilinear(pixels.astype(float), (160, 160)), rtol=0, atol=GREY_LEVEL)
    cubic = framed(pixels, everywhere, square(160))
    assert np.abs(made.astype(int) - cubic).max() > 10
    assert cubic.std() > made.std()


@pytest.mark.parametrize("size", [1, 2, 31, 97])
def test_a_constant_field_stays_constant(size: int) -> None:
    pixels = np.full((101, 103), 137, np.uint8)
    for spec in (square(37, outside="kept"), square(37), square(37, shrink="bilinear", enlarge="bilinear")):
        made = framed(pixels, box_fov(pixels.shape, 2, 3, size, size), spec)
        np.testing.assert_array_equal(made, 137)


def test_where_the_eye_lies_in_the_image_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    eye = rng.integers(1, 256, (53, 41, 3), dtype=np.uint8)
    frames = []
    for y0, x0 in ((0, 0), (30, 0), (17, 59), (30, 59)):
        pixels, fov = np.zeros((83, 100, 3), np.uint8), box_fov((83, 100), y0, x0, 53, 41)
        pixels[y0 : y0 + 53, x0 : x0 + 41] = eye
        frames.append(framed(pixels, fov, square(32)))
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame, frames[0])


# --- back


@pytest.mark.parametrize("image", [(40, 64), (64, 40), (53, 97), (200, 31)])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (37, 61), (1, 1), (2, 200)])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_a_map_is_resized_and_put_in_its_place(image: Any, size: tuple[int, int], interpolation: Any) -> None:
    values = np.random.default_rng(5).random(size).astype(np.float32)
    fov = box_fov(image, 3, 5, image[0] - 4, image[1] - 9)
    frame = FieldFrame.around(eye_with(fov), square(32))
    made = frame.to_native(values, interpolation)
    assert made.shape == image
    assert made.dtype == np.float32
    resize = bilinear if interpolation == "bilinear" else nearest
    whole = resize(values.astype(np.float64), (frame.height, frame.width))
    for y in range(image[0]):
        for x in range(image[1]):
            row, column = y - frame.top, x - frame.left
            inside = 0 <= row < frame.height and 0 <= column < frame.width
            expected = whole[row, column] if inside else 0.0
            # float32 weights and sums of four values of at most 1
            assert abs(float(made[y, x]) - expected) <= 2.0**-20, (y, x)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("field", [(0, 0, 40, 64), (5, 7, 1, 1), (3, 60, 29, 4), (11, 0, 7, 13)])
def test_a_constant_map_stays_constant(field: tuple[int, int, int, int], interpolation: Any) -> None:
    fov = box_fov((40, 64), *field)
    frame = FieldFrame.around(eye_with(fov), square(32))
    made = frame.to_native(np.full((64, 64), 0.7, np.float32), interpolation)
    np.testing.assert_array_equal(made[fov], np.float32(0.7))


@pytest.mark.parametrize("side", [16, 50, 128, 317])
@pytest.mark.parametrize("field", [(0, 0, 200, 150), (10, 20, 113, 113), (60, 3, 101, 140)])
def test_positions_survive_the_way_there_and_back(side: int, field: tuple[int, int, int, int]) -> None:
    """A map that holds, at each pixel of the frame, where in the image it lies: half a pixel off would show."""
    fov = box_fov((200, 150), *field)
    frame = FieldFrame.around(eye_with(fov), square(side))
    centres = (np.arange(side) + 0.5) / side
    y = np.repeat((frame.top + centres * frame.height - 0.5)[:, None], side, axis=1).astype(np.float32)
    x = np.repeat((frame.left + centres * frame.width - 0.5)[None], side, axis=0).astype(np.float32)
    rows, columns = np.mgrid[:200, :150].astype(np.float32)
    border = frame.height / side / 2  # beyond the outermost centres a map is constant
    inner = (rows >= frame.top + border) & (rows <= frame.top + frame.height - 1 - border)
    inner &= (columns >= frame.left + border) & (columns <= frame.left + frame.width - 1 - border)
    assert inner[fov].mean() > 0.8
    for coordinate, truth in ((y, rows), (x, columns)):
        np.testing.assert_allclose(frame.to_native(coordinate)[inner], truth[inner], rtol=0, atol=1e-3)


def test_what_is_cut_comes_back() -> None:
    """A smooth picture, shrunk by area and enlarged again, in its place."""
    y, x = np.mgrid[:150, :220]
    picture = 120 + 60 * np.sin(y / 23.0) * np.cos(x / 19.0)
    fov = box_fov((150, 220), 8, 31, 131, 127)
    frame = FieldFrame.around(eye_with(fov, picture.astype(np.uint8)), square(64, outside="kept"))
    back = frame.to_native(frame.cut(picture.astype(np.uint8), fov).astype(np.float32))
    inner = np.zeros(fov.shape, bool)
    inner[12:135, 35:154] = True
    # rounding to uint8 twice, and what a 2 px average takes off a wave of 120 px: 60 (pi 2 / 120)^2 / 6
    np.testing.assert_allclose(back[inner], picture[inner], rtol=0, atol=1.5)
