"""Every format, layout and orientation of an image file gives the stored samples."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt.image import read_image
from tests.sdk import image_files as make
from tests.sdk.image_files import ALPHA, ALPHA16, GREY, GREY16, RGB, RGB16, SAME_FILE

PALETTE = np.random.default_rng(5).integers(0, 256, (256, 3), dtype=np.uint8)


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
