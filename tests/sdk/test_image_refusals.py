"""Image files that are refused for what they are: no file, too small, too large, transparent."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fundusrt.image import MIN_SIDE_PX, read_image
from tests.sdk import image_files as make
from tests.sdk.image_files import ALPHA, ALPHA16, GREY, refusal


def test_paths_that_are_no_image_file(tmp_path):
    path = tmp_path / "eye.png"
    assert refusal(read_image, path) == (
        f"{path}: got no such file; expected a PNG, JPEG, TIFF or BMP image; check the path"
    )
    assert refusal(read_image, tmp_path).startswith(
        f"{tmp_path}: got a folder; expected a PNG, JPEG, TIFF or BMP image"
    )
    assert "the disk" in refusal(read_image, tmp_path / "a\0b")
    path.write_bytes(b"")
    assert refusal(read_image, path) == (
        f"{path}: got an empty file (0 bytes); expected a PNG, JPEG, TIFF or BMP image; copy or export it again"
    )
    os.mkfifo(tmp_path / "pipe")
    assert "got a pipe or a device; expected" in refusal(read_image, tmp_path / "pipe")
    assert "got a file that cannot be read (" in refusal(read_image, path / "below")  # a file where a folder should be


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EACCES, "got a file that may not be read (permission denied); expected read access; change its perm"),
        (errno.EIO, "expected a PNG, JPEG, TIFF or BMP image; check the path and the disk"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, monkeypatch, number, text):
    def fail(self):
        raise OSError(number, os.strerror(number))

    (tmp_path / "eye.png").write_bytes(make.png(GREY))
    monkeypatch.setattr(Path, "read_bytes", fail)
    assert text in refusal(read_image, tmp_path / "eye.png")


@pytest.mark.parametrize("shape", [(1, 1), (31, 64), (64, 31)])
def test_small_images(read, shape):
    message = refusal(read, make.png(np.full(shape, 9, np.uint8)))
    assert f"got {shape[0]} x {shape[1]} px; expected at least {MIN_SIDE_PX} px on each side; pass" in message


def test_fully_transparent_images(read):
    for pixels in (ALPHA, ALPHA16, ALPHA[:, :, :2]):
        clear = pixels.copy()
        clear[:, :, -1] = 0
        assert "got a fully transparent image; expected visible pixels; export" in refusal(read, make.png(clear))
    clear = ALPHA.copy()
    clear[:, :, 3] = 0
    assert "got a fully transparent image" in refusal(read, make.tiff(clear, extrasamples=["unassalpha"]))


def test_huge_images_are_refused_before_any_decoding(read, monkeypatch):
    import cv2

    def decoder(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imdecode", decoder)
    padding = make.png_chunk(b"teXt", bytes(400_000))
    data = make.png(np.zeros((32, 32), np.uint8), size=(20000, 20000), after=padding)
    tracemalloc.start()
    try:
        message = refusal(read, data, "huge.png")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "huge.png: got 20000 x 20000 px (400.0 megapixels); expected at most 200 megapixels; crop or" in message
    assert "max_megapixels=400" in message
    assert peak_bytes < 4e6
    with pytest.raises(AssertionError, match="decoded"):
        read(data, max_megapixels=400)


def test_limit_counts_every_pixel(read):
    data = make.png(np.full((40, 50), 200, np.uint8))
    assert read(data, max_megapixels=0.002).width == 50
    message = refusal(read, data, max_megapixels=0.0019)
    assert "got 40 x 50 px (0.0 megapixels); expected at most 0.0019 megapixels" in message


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_limit_itself(read, limit):
    assert refusal(read, make.png(GREY), max_megapixels=limit).startswith("max_megapixels: got ")


def test_large_files_are_not_even_read(tmp_path, monkeypatch):
    with (tmp_path / "eye.png").open("wb") as file:
        file.write(make.png(GREY))
        file.truncate(10**10)  # sparse
    monkeypatch.setattr(Path, "read_bytes", None)
    message = refusal(read_image, tmp_path / "eye.png")
    assert "got a file of 9537 MiB; expected at most 1590 MiB, which 200 megapixels can need; check" in message


def test_opencv_limit(read, monkeypatch):
    import cv2

    def decoder(*_):
        # OpenCV keeps the condition of its last error on the class; this one must have its own.
        error = cv2.error("pixels <= CV_IO_MAX_IMAGE_PIXELS")
        error.err = "pixels <= CV_IO_MAX_IMAGE_PIXELS"
        raise error

    monkeypatch.setattr(cv2, "imdecode", decoder)
    message = refusal(read, make.png(GREY))
    assert "got PNG data that OpenCV refuses (pixels <= CV_IO_MAX_IMAGE_PIXELS); expected 48 x 64 px" in message


def test_decoder_that_disagrees_with_the_header(read, monkeypatch):
    import cv2

    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((4, 4), np.uint8))
    message = refusal(read, make.png(GREY))
    assert (
        "got decoded pixels of shape (4, 4) and type uint8; expected 48 x 64 px, grey of 8 bits, as its header"
        in message
    )
