import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundusrt.errors import InvalidInput
from fundusrt.image_header import ImageHeader, probe_header
from fundusrt.tiff_directory import exif_orientation, read_directory
from tests.sdk import image_files as make

GREY, RGB = make.picture(channels=1), make.picture()
GREY16, RGB16 = make.picture(channels=1, bits=16), make.picture(bits=16)
ALPHA = make.picture(channels=4)
SAMPLES = "expected 8- or 16-bit unsigned grey or RGB; export it again as an 8- or 16-bit PNG"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (make.png(GREY), ImageHeader("PNG", 48, 64, "grey", 8)),
        (make.png(RGB16), ImageHeader("PNG", 48, 64, "rgb", 16)),
        (make.png(ALPHA), ImageHeader("PNG", 48, 64, "rgb", 8, alpha=True)),
        (make.png(ALPHA[:, :, :2]), ImageHeader("PNG", 48, 64, "grey", 8, alpha=True)),
        (make.png(GREY, before=make.png_chunk(b"tRNS", b"\0\1")), ImageHeader("PNG", 48, 64, "grey", 8, alpha=True)),
        (make.png(GREY, after=make.png_chunk(b"eXIf", make.exif(6))), ImageHeader("PNG", 48, 64, "grey", 8, False, 6)),
        (make.pillow(GREY, "JPEG"), ImageHeader("JPEG", 48, 64, "grey", 8)),
        (make.pillow(RGB, "JPEG", progressive=True), ImageHeader("JPEG", 48, 64, "rgb", 8)),
        (make.pillow(RGB, "JPEG", restart_marker_rows=1), ImageHeader("JPEG", 48, 64, "rgb", 8)),
        (make.pillow(RGB, "JPEG", exif=b"Exif\0\0" + make.exif(8)), ImageHeader("JPEG", 48, 64, "rgb", 8, False, 8)),
        (make.bmp(RGB), ImageHeader("BMP", 48, 64, "rgb", 8)),
        (make.bmp(GREY), ImageHeader("BMP", 48, 64, "grey", 8)),
        (make.bmp(RGB, top_down=True), ImageHeader("BMP", 48, 64, "rgb", 8)),
        (make.bmp(ALPHA, masks=(0xFF0000, 0xFF00, 0xFF)), ImageHeader("BMP", 48, 64, "rgb", 8)),
        (make.tiff(GREY16), ImageHeader("TIFF", 48, 64, "grey", 16)),
        (make.tiff(RGB, bigtiff=True, byteorder=">"), ImageHeader("TIFF", 48, 64, "rgb", 8)),
        (make.tiff(RGB, compression="deflate"), ImageHeader("TIFF", 48, 64, "rgb", 8, needs_tifffile=True)),
        (make.pillow(RGB, "TIFF", compression="tiff_lzw"), ImageHeader("TIFF", 48, 64, "rgb", 8)),
    ],
)
def test_header_says_what_is_stored(data, expected):
    assert probe_header(data, "eye") == expected


def test_orientation_of_a_tiff_comes_with_the_bytes_that_undo_it():
    data = make.tiff(GREY, extratags=[(274, "H", 1, 6, True)])
    header = probe_header(data, "eye")
    assert header.orientation == 6
    assert header.upright_patch is not None
    start, upright = header.upright_patch
    assert probe_header(data[:start] + upright + data[start + len(upright) :], "eye").orientation == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GIF89a" + bytes(40), "eye: got a GIF file; expected a PNG, JPEG, TIFF or BMP image; export it again"),
        (bytes(128) + b"DICM", "eye: got a DICOM file; expected"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "eye: got a WebP file; expected"),
        (b"version https://git-lfs.github.com/spec/v1", "eye: got a Git LFS pointer file; expected"),
        (b"a text, not an image", "eye: got other content; expected a PNG, JPEG, TIFF or BMP image"),
        (make.png(GREY, size=(0, 64)), "eye: got a size of 0 x 64 px; expected an image that has pixels"),
        (make.png(GREY & 1, depth=1), f"eye: got 1-bit samples; {SAMPLES}"),
        (make.png(GREY & 15, depth=4), f"eye: got 4-bit samples; {SAMPLES}"),
        (
            make.png(GREY & 1, depth=1, colour_type=3, before=make.png_chunk(b"PLTE", bytes(6))),
            f"eye: got 1-bit samples; {SAMPLES}",
        ),
        (
            make.png(GREY, before=make.png_chunk(b"acTL", bytes([0, 0, 0, 2, 0, 0, 0, 0]))),
            "got several animation frames",
        ),
        (make.png(GREY).replace(b"IDAT", b"IDAS"), "eye: got a damaged PNG: the IDAS chunk at byte 33 has changed"),
        (make.png(GREY)[:33] + make.png_chunk(b"IEND", b""), "eye: got a damaged PNG: it has no pixel data"),
        (make.png(GREY, colour_type=5), "eye: got a damaged PNG: colour type 5"),
        (
            make.png(GREY)[:8] + make.png(GREY)[33:],
            "eye: got a damaged PNG: it must begin with its one IHDR chunk; expected a valid PNG; copy or export",
        ),
        (make.pillow(RGB, "JPEG")[:-2], "eye: got a truncated or malformed JPEG ("),
        (b"\xff\xd8\xff\xd9", "eye: got a damaged JPEG: it has no pixel data; expected a valid JPEG"),
        (make.pillow(ALPHA, "TIFF").replace(b"II*", b"II-"), "eye: got other content"),
        (make.bmp(RGB)[:-1], "eye: got a truncated or malformed BMP (9269 bytes); expected a complete BMP; copy or"),
        (make.bmp(RGB)[:28] + struct.pack("<H", 4) + make.bmp(RGB)[30:], f"eye: got 4 bits per pixel; {SAMPLES}"),
        (make.bmp(RGB)[:30] + struct.pack("<I", 1) + make.bmp(RGB)[34:], "eye: got a compressed BMP; expected an unc"),
        (
            make.bmp(ALPHA, masks=(0xFF, 0xFF00, 0xFF0000)),
            "eye: got a BMP with its own colour masks; expected bytes in the usual order; export it again as an",
        ),
        (make.bmp(RGB, core=True), "eye: got a BMP of OS/2; expected a BMP of Windows; export it again as an"),
        (make.bmp(RGB)[:14] + struct.pack("<I", 9) + make.bmp(RGB)[18:], "eye: got a damaged BMP: a header of 9 bytes"),
        (
            make.tiff(np.stack([GREY, GREY]), photometric="minisblack"),
            "eye: got several pages; expected one image per file; save the wanted one",
        ),
        (make.tiff(GREY.astype(np.float32)), f"eye: got 32-bit floating-point samples; {SAMPLES}"),
        (make.tiff(GREY.astype(np.int16)), f"eye: got 16-bit signed integer samples; {SAMPLES}"),
        (make.tiff(GREY.astype(np.uint32)), f"eye: got 32-bit samples; {SAMPLES}"),
        (make.tiff(GREY > 9), f"eye: got 1-bit samples; {SAMPLES}"),
        (
            make.tiff(ALPHA[:, :, :2], photometric="minisblack", planarconfig="contig"),
            f"eye: got 2 channels; {SAMPLES}",
        ),
        (
            make.tiff(make.picture(channels=5), photometric="minisblack", planarconfig="contig"),
            f"eye: got 5 channels; {SAMPLES}",
        ),
        (make.tiff(ALPHA, photometric="separated"), f"eye: got TIFF colour model CMYK; {SAMPLES}"),
        (make.tiff(ALPHA, photometric="rgb", extrasamples=["unspecified"]), f"eye: got 4 channels; {SAMPLES}"),
        (
            make.pillow(ALPHA, "TIFF", compression="tiff_lzw"),
            "eye: got TIFF compression 5 with transparency, separate planes or white as zero; expected no compression",
        ),
        (
            make.tiff(GREY, compression="lzma"),
            "eye: got TIFF compression 34925 with colour model 1; expected none, LZW",
        ),
    ],
)
def test_refusals_say_what_was_got_and_what_to_do(data, message):
    with pytest.raises(InvalidInput) as caught:
        probe_header(data, "eye")
    assert message in str(caught.value)
    assert caught.value.fix


def test_cmyk_jpeg_is_refused():
    from PIL import Image

    data = make.pillow(Image.fromarray(RGB).convert("CMYK"), "JPEG")
    with pytest.raises(InvalidInput, match=r"got 4 channels \(CMYK\); expected 8- or 16-bit unsigned grey or RGB"):
        probe_header(data, "eye.jpg")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c", "got 12-bit samples"),
        (
            b"\xff\xc0\x00\x11\x08",
            b"\xff\xc3\x00\x11\x08",
            r"got a lossless, hierarchical or arithmetic-coded JPEG \(SOF3",
        ),
        (b"\xff\xc0\x00\x11\x08\x00\x30", b"\xff\xc0\x00\x11\x08\x00\x00", "got a size of 0 x 64 px"),
    ],
)
def test_kinds_of_jpeg_that_are_refused(before, after, message):
    data = make.pillow(RGB, "JPEG")
    assert data.count(before) == 1
    with pytest.raises(InvalidInput, match=message):
        probe_header(data.replace(before, after), "eye.jpg")


def test_end_marker_of_an_embedded_preview_does_not_count():
    preview = make.pillow(GREY[:16, :16].copy(), "JPEG")
    whole = make.pillow(RGB, "JPEG", exif=b"Exif\0\0" + make.exif(1) + preview)
    assert probe_header(whole, "eye.jpg").height == 48
    with pytest.raises(InvalidInput, match="truncated or malformed JPEG"):
        probe_header(whole[: len(whole) // 2], "eye.jpg")


def test_bytes_after_the_end_are_allowed():
    for data in (make.png(GREY), make.pillow(RGB, "JPEG"), make.bmp(RGB), make.tiff(RGB)):
        assert probe_header(data + b"trailing", "eye") == probe_header(data, "eye")


def test_tiff_with_data_beyond_its_end_or_missing_strips_is_refused():
    whole = make.tiff(RGB, rowsperstrip=16)
    tags = read_directory(whole)
    assert len(tags.values(273)) == 3
    with pytest.raises(
        InvalidInput, match=r"got a truncated or malformed TIFF \(\d+ bytes\); expected a complete TIFF"
    ):
        probe_header(whole[:-1], "eye.tif")
    start, _ = tags.encoded(278, 0)  # rows per strip
    for rows, message in ((8, "it lacks some of its 6 strips or tiles"), (0, "it has tiles of size zero")):
        changed = whole[:start] + struct.pack("<H", rows) + whole[start + 2 :]
        with pytest.raises(InvalidInput, match=message):
            probe_header(changed, "eye.tif")


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_directory_agrees_with_tifffile(bigtiff, byteorder):
    import tifffile

    data = make.tiff(RGB16, bigtiff=bigtiff, byteorder=byteorder, tile=(16, 32))
    tags = read_directory(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert tags.values(324) == page.dataoffsets
        assert tags.values(325) == page.databytecounts
        assert tags.values(258) == page.tags[258].value
        assert set(tags.entries) == {tag.code for tag in page.tags}


@pytest.mark.parametrize("value", range(1, 9))
def test_exif_orientation(value):
    assert exif_orientation(make.exif(value)) == value


@pytest.mark.parametrize("block", [b"", b"II*\0", b"MM*\0" + bytes(8), make.exif(0), make.exif(9), make.exif(3)[:-6]])
def test_malformed_exif_counts_as_upright(block):
    assert exif_orientation(block) == 1


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"BM", b"II*\0", b"MM\0+"]))
def test_no_bytes_whatever_raise_anything_but_invalid_input(tail, start):
    try:
        probe_header(start + tail, "eye")
    except InvalidInput as error:
        assert str(error).startswith("eye: got ")  # noqa: PT017
