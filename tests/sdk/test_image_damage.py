"""Damaged image files are refused or lose nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt.errors import InvalidInput
from fundusrt.image import read_image
from tests.sdk import image_files as make
from tests.sdk.image_files import ALPHA16, GREY, RGB, RGB16, SAME_FILE, refusal

WHOLE = {
    "png": make.png(RGB),
    "png16": make.png(ALPHA16),
    "jpeg": make.pillow(RGB, "JPEG"),
    "progressive jpeg": make.pillow(RGB, "JPEG", progressive=True, exif=b"Exif\0\0" + make.exif(3)),
    "bmp": make.bmp(GREY),
    "tiff": make.tiff(RGB),
    "tiff, directory last": make.pillow(RGB, "TIFF", compression="tiff_lzw"),
    "tiff, deflate": make.tiff(RGB16, compression="deflate"),
    "tiff, planes": make.tiff(np.moveaxis(RGB16, -1, 0), planarconfig="separate"),
}


@pytest.mark.parametrize("name", WHOLE)
@given(data=st.data())
@settings(SAME_FILE, max_examples=40)
def test_truncated_files_are_refused_or_lose_nothing(tmp_path, name, data):
    whole = WHOLE[name]
    path = tmp_path / "eye"
    path.write_bytes(whole)
    expected = read_image(path).pixels
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1), "length")])
    try:
        pixels = read_image(path).pixels
    except InvalidInput as error:
        assert str(error).startswith(f"{path}: got ")  # noqa: PT017
    else:
        np.testing.assert_array_equal(pixels, expected)


def test_truncation_is_named_and_leaves_stderr_quiet(read, capfd):
    for name, kind in (("png", "PNG"), ("jpeg", "JPEG"), ("bmp", "BMP"), ("tiff", "TIFF")):
        half = WHOLE[name][: len(WHOLE[name]) // 2]
        message = refusal(read, half, "eye")
        assert f"got a truncated or malformed {kind} ({len(half)} bytes); expected a complete {kind}; copy" in message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", WHOLE)
@given(data=st.data())
@settings(SAME_FILE, max_examples=25)
def test_changed_bytes_never_raise_anything_but_invalid_input(tmp_path, name, data):
    changed = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1), "where")] = data.draw(st.integers(0, 255), "value")
    path = tmp_path / "eye"
    path.write_bytes(bytes(changed))
    try:
        image = read_image(path, max_megapixels=1)
    except InvalidInput as error:
        assert str(error).startswith(f"{path}: got ")  # noqa: PT017
    else:
        assert image.fov.shape == image.pixels.shape[:2]


@given(where=st.integers(45, len(WHOLE["png"]) - 20), value=st.integers(1, 255))
@settings(SAME_FILE, max_examples=30)
def test_changed_pixel_data_of_a_png_are_noticed(tmp_path, where, value):
    changed = bytearray(WHOLE["png"])
    changed[where] ^= value
    (tmp_path / "eye").write_bytes(bytes(changed))
    assert "got a damaged PNG: the IDAT chunk at byte 33 has changed" in refusal(read_image, tmp_path / "eye")


def test_png_whose_data_end_early(read):
    short = make.png(RGB[:20], size=(48, 64))  # every sum is right; only 20 of 48 rows are there
    assert "got damaged PNG data; expected 48 x 64 px that can be decoded; copy or export" in refusal(read, short)


def test_deflated_tiff_whose_data_are_damaged(read):
    data = bytearray(WHOLE["tiff, deflate"])
    data[-9] ^= 1
    assert "got damaged TIFF data (" in refusal(read, bytes(data))
