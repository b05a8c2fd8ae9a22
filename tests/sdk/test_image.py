import errno
import io
import os
import tracemalloc
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fundusrt.errors import InvalidInput
from fundusrt.image import MIN_SIDE_PX, FundusImage, from_array, read_image
from tests.sdk import image_files as make

GREY, RGB = make.picture(channels=1), make.picture()
GREY16, RGB16 = make.picture(channels=1, bits=16), make.picture(bits=16)
ALPHA, ALPHA16 = make.picture(channels=4), make.picture(channels=4, bits=16)
PALETTE = np.random.default_rng(5).integers(0, 256, (256, 3), dtype=np.uint8)
SAME_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def read(tmp_path):
    def read_bytes(data, name="eye.bin", **options):
        (tmp_path / name).write_bytes(data)
        return read_image(tmp_path / name, **options)

    return read_bytes


def refusal(function, *arguments, **options) -> str:
    with pytest.raises(InvalidInput) as caught:
        function(*arguments, **options)
    error = caught.value
    assert error.got
    assert error.expected
    assert error.fix
    return str(error)


# What is read


@given(
    height=st.integers(32, 70),
    width=st.integers(32, 70),
    channels=st.sampled_from([1, 3]),
    bits=st.sampled_from([8, 16]),
    kind=st.sampled_from(["png", "tiff", "bmp"]),
)
@settings(SAME_FILE, max_examples=60)
def test_lossless_files_come_back_sample_by_sample(tmp_path, height, width, channels, bits, kind):
    pixels = make.picture(height, width, channels=channels, bits=8 if kind == "bmp" else bits)
    path = tmp_path / "eye"
    path.write_bytes(getattr(make, kind)(pixels))
    image = read_image(path)
    assert image.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.height, image.width) == image.fov.shape == (height, width)
    assert image.source_id == "eye"
    assert image.mm_per_px is None
    assert image.laterality is None


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}], ids=str
)
def test_jpeg_agrees_with_another_decoder(read, pixels, options):
    from PIL import Image

    data = make.pillow(pixels, "JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    got = read(data).pixels
    assert got.shape == expected.shape
    # Both decoders round the inverse transform and the chroma interpolation; no two may differ by more than that.
    assert np.abs(got.astype(int) - expected).max() <= 2


TIFFS = {
    "planes of 8 bits": (RGB, make.tiff(np.moveaxis(RGB, -1, 0), planarconfig="separate")),
    "planes of 16 bits": (RGB16, make.tiff(np.moveaxis(RGB16, -1, 0), planarconfig="separate")),
    "planes of 16 bits, big endian": (
        RGB16,
        make.tiff(np.moveaxis(RGB16, -1, 0), planarconfig="separate", byteorder=">"),
    ),
    "tiles": (RGB16, make.tiff(RGB16, tile=(16, 32))),
    "strips": (RGB, make.tiff(RGB, rowsperstrip=5)),
    "big endian": (RGB16, make.tiff(RGB16, byteorder=">")),
    "BigTIFF": (GREY16, make.tiff(GREY16, bigtiff=True)),
    "white is zero, 8 bits": (255 - GREY, make.tiff(GREY, photometric="miniswhite")),
    "white is zero, 16 bits": (65535 - GREY16, make.tiff(GREY16, photometric="miniswhite")),
    "deflate": (RGB, make.tiff(RGB, compression="deflate")),
    "deflate, tiles, predictor": (RGB16, make.tiff(RGB16, compression="deflate", predictor=True, tile=(16, 16))),
    "deflate, big endian": (GREY16, make.tiff(GREY16, compression="deflate", byteorder=">")),
    "PackBits": (RGB, make.pillow(RGB, "TIFF", compression="packbits")),
    "LZW": (RGB, make.pillow(RGB, "TIFF", compression="tiff_lzw")),
    "LZW grey of 16 bits": (GREY16, make.pillow(GREY16, "TIFF", compression="tiff_lzw")),
    "unassociated alpha": (ALPHA[:, :, :3], make.tiff(ALPHA, extrasamples=["unassalpha"])),
    "associated alpha": (ALPHA16[:, :, :3], make.tiff(ALPHA16, extrasamples=["assocalpha"])),
    "grey and alpha": (
        ALPHA[:, :, 0],
        make.tiff(ALPHA[:, :, :2], photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]),
    ),
    "alpha, deflate, planes": (
        ALPHA16[:, :, :3],
        make.tiff(
            np.moveaxis(ALPHA16, -1, 0), planarconfig="separate", extrasamples=["unassalpha"], compression="deflate"
        ),
    ),
}


@pytest.mark.parametrize("name", TIFFS)
def test_every_tiff_layout_gives_the_stored_samples(read, name):
    expected, data = TIFFS[name]
    np.testing.assert_array_equal(read(data).pixels, expected)


def test_jpeg_inside_tiff(read):
    from PIL import Image

    data = make.pillow(RGB, "TIFF", compression="jpeg", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(read(data).pixels - expected).max() <= 2


def test_alpha_is_dropped_and_colours_stay_as_stored(read):
    np.testing.assert_array_equal(read(make.png(ALPHA)).pixels, ALPHA[:, :, :3])
    np.testing.assert_array_equal(read(make.png(ALPHA16)).pixels, ALPHA16[:, :, :3])
    np.testing.assert_array_equal(read(make.png(ALPHA[:, :, :2])).pixels, ALPHA[:, :, 0])
    np.testing.assert_array_equal(read(make.png(ALPHA16[:, :, :2])).pixels, ALPHA16[:, :, 0])
    key = make.png_chunk(b"tRNS", RGB[3, 3].astype(">u2").tobytes())
    np.testing.assert_array_equal(read(make.png(RGB, before=key)).pixels, RGB)
    key = make.png_chunk(b"tRNS", GREY[3, 3].astype(">u2").tobytes())
    np.testing.assert_array_equal(read(make.png(GREY, before=key)).pixels, GREY)


def test_the_fourth_byte_of_a_bmp_is_padding(read):
    np.testing.assert_array_equal(read(make.bmp(np.dstack([RGB, 0 * GREY]))).pixels, RGB)


def test_bmp_with_the_top_row_first(read):
    np.testing.assert_array_equal(read(make.bmp(RGB, top_down=True)).pixels, RGB)


def test_palettes_become_rgb(read):
    table = make.png_chunk(b"PLTE", PALETTE.tobytes())
    np.testing.assert_array_equal(read(make.png(GREY, colour_type=3, before=table)).pixels, PALETTE[GREY])
    np.testing.assert_array_equal(read(make.bmp(GREY, palette=PALETTE)).pixels, PALETTE[GREY])
    ramp = np.repeat(PALETTE[:, :1], 3, 1)
    np.testing.assert_array_equal(read(make.bmp(GREY, palette=ramp)).pixels, ramp[GREY][:, :, 0])
    for depth in (2, 4):
        indices = GREY >> (8 - depth)
        few = make.png_chunk(b"PLTE", PALETTE[: 2**depth].tobytes())
        data = make.png(indices, depth=depth, colour_type=3, before=few)
        np.testing.assert_array_equal(read(data).pixels, PALETTE[indices])
    see_through = make.png_chunk(b"tRNS", bytes([0, 128]))
    data = make.png(GREY, colour_type=3, before=table + see_through)
    np.testing.assert_array_equal(read(data).pixels, PALETTE[GREY])
    colormap = np.repeat(PALETTE.T[:, :, None], 1, 2)[:, :, 0].astype(np.uint16) * 257
    data = make.tiff(GREY, photometric="palette", colormap=colormap)
    np.testing.assert_array_equal(read(data).pixels, PALETTE[GREY])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG16", "TIFF", "TIFF16", "TIFF grey deflate", "TIFF LZW"])
def test_orientation_is_applied_exactly_once(read, kind, orientation):
    from PIL import Image, ImageOps

    upright = RGB16 if kind.endswith("16") else GREY if "grey" in kind else RGB
    stored = make.oriented(upright, orientation)
    tag = {"extratags": [(274, "H", 1, orientation, True)]}
    if kind == "JPEG":
        stored = make.oriented(np.repeat(np.repeat(RGB, 16, 0), 16, 1), orientation)  # no chroma crosses a pixel
        data = make.pillow(stored, "JPEG", quality=100, subsampling=0, exif=b"Exif\0\0" + make.exif(orientation))
        shown = read(data).pixels
        assert shown.shape == (48 * 16, 64 * 16, 3)
        assert np.abs(shown[8::16, 8::16].astype(int) - RGB).max() <= 4
    elif kind.startswith("PNG"):
        for where in ("before", "after"):
            data = make.png(stored, **{where: make.png_chunk(b"eXIf", make.exif(orientation))})
            np.testing.assert_array_equal(read(data).pixels, upright)
    elif kind == "TIFF LZW":
        marks = Image.Exif()
        marks[274] = orientation
        data = make.pillow(stored, "TIFF", compression="tiff_lzw", exif=marks)
        np.testing.assert_array_equal(read(data).pixels, upright)
    else:
        data = make.tiff(stored, **tag, **({"compression": "deflate"} if "deflate" in kind else {}))
        np.testing.assert_array_equal(read(data).pixels, upright)
    if not kind.endswith("16"):  # Pillow lowers 16-bit colour to 8 bits
        other = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
        np.testing.assert_allclose(read(data).pixels, other, atol=2 if kind == "JPEG" else 0)


def test_fov_is_found_in_upright_pixels(read):
    upright = np.zeros((120, 160), np.uint8)
    upright[:, 40:120] = 90
    stored = make.oriented(upright, 6)
    fov = read(make.png(stored, after=make.png_chunk(b"eXIf", make.exif(6)))).fov
    assert fov[60, 80]
    assert not fov[60, 10]
    assert not fov[60, 150]


def test_content_decides_and_the_name_may_be_anything(read):
    for name in ("eye.jpg", "eye", "Auge \N{LATIN SMALL LETTER U WITH DIAERESIS}\N{EYE}.PNG", "eye.exe"):
        image = read(make.tiff(RGB), name=name)
        assert image.source_id == name
        np.testing.assert_array_equal(image.pixels, RGB)


def test_path_may_be_text_and_a_link(tmp_path):
    (tmp_path / "eye.png").write_bytes(make.png(GREY))
    (tmp_path / "link.png").symlink_to(tmp_path / "eye.png")
    assert read_image(str(tmp_path / "link.png")).source_id == "link.png"


# What is refused


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


# Arrays


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
