"""What an image file says about itself, read without decoding a pixel.

One walk over the file's structure gives size, bit depth, colours and orientation, and shows whether the file
is complete. Decoders are more lenient: they fill the missing part of a truncated file with grey and go on, or
turn what they do not support into something else.

Sources: PNG, W3C Recommendation, third edition; JPEG, ITU-T T.81 annex B; TIFF 6.0; BMP, BITMAPINFOHEADER.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fundusrt.errors import InvalidInput
from fundusrt.tiff_directory import ORIENTATION_TAG, TiffDirectory, exif_orientation, read_directory

__all__ = ["ImageHeader", "probe_header"]

_AGAIN = "copy or export the file again"
_AS_PNG = "export it again as an 8- or 16-bit PNG"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a file's header says.

    Attributes:
        format: the format of the content.
        height: rows as stored, before orientation, px.
        width: columns as stored, before orientation, px.
        colour: "grey" or "rgb"; palettes count as "rgb".
        bits: bits per sample after palette expansion, 8 or 16.
        alpha: whether the file carries transparency.
        orientation: EXIF or TIFF orientation, 1 (upright) to 8.
        upright_patch: only for a TIFF that is not upright: position in the file of its orientation, and the
            bytes that would say "upright" there.
        needs_tifffile: a TIFF that OpenCV decodes wrongly (16-bit separate planes, 16-bit white-is-zero), changes
            (transparency: it multiplies the colours by it) or does not check (deflate: it skips the sum).
    """

    format: Literal["PNG", "JPEG", "TIFF", "BMP"]
    height: int
    width: int
    colour: Literal["grey", "rgb"]
    bits: int
    alpha: bool = False
    orientation: int = 1
    upright_patch: tuple[int, bytes] | None = None
    needs_tifffile: bool = False


def probe_header(data: bytes, subject: str) -> ImageHeader:
    """Read the header of an image file and check that the file is complete.

    Args:
        data: the whole file.
        subject: the file's name, for errors.

    Returns:
        What the header says. Everything that is returned stands for 8- or 16-bit unsigned grey or RGB.

    Raises:
        InvalidInput: not PNG, JPEG, TIFF or BMP, truncated, malformed, of size zero, more than one image, or
            other samples than 8- or 16-bit unsigned grey or RGB.
    """
    for start, (name, probe) in _PROBES.items():
        if data.startswith(start):
            try:
                header = probe(data, subject)
            except struct.error as error:  # a field lies beyond the end of the file
                raise _truncated(name, data, subject) from error
            if header.height <= 0 or header.width <= 0:
                got = f"a size of {header.height} x {header.width} px"
                raise InvalidInput(subject, got=got, expected="an image that has pixels", fix=_AGAIN)
            return header
    got = next((f"a {name} file" for start, name in _OTHERS.items() if start.match(data)), "other content")
    raise InvalidInput(subject, got=got, expected="a PNG, JPEG, TIFF or BMP image", fix=_AS_PNG)


def _probe_png(data: bytes, subject: str) -> ImageHeader:
    """Walk the chunks (PNG 5.3) to IEND and check the sums of those that change pixels."""
    height, width, depth, colour_type = 0, 0, 0, -1
    alpha = pixels_seen = False
    orientation = 1
    position = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        body = memoryview(data)[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        matters = kind[:1].isupper() or kind in (b"tRNS", b"eXIf", b"acTL")
        if matters and zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise _damaged("PNG", f"the {kind.decode('latin-1')} chunk at byte {position} has changed", subject)
        if (kind == b"IHDR") != (position == 8):
            raise _damaged("PNG", "it must begin with its one IHDR chunk", subject)
        if kind == b"IHDR":
            width, height, depth, colour_type = struct.unpack_from(">IIBB", body)
        elif kind == b"tRNS":
            alpha = True
        elif kind == b"eXIf":
            orientation = exif_orientation(bytes(body))
        elif kind == b"acTL" and bytes(body[:4]) != b"\0\0\0\1":
            raise _several("animation frames", subject)
        elif kind == b"IDAT":
            pixels_seen = True
        elif kind == b"IEND":
            break
        position += 12 + length
    if not pixels_seen or colour_type not in (0, 2, 3, 4, 6):
        raise _damaged("PNG", f"colour type {colour_type}" if pixels_seen else "it has no pixel data", subject)
    if depth not in ((2, 4, 8) if colour_type == 3 else (8, 16)):
        raise _samples(f"{depth}-bit samples", subject)
    return ImageHeader(
        "PNG",
        height,
        width,
        colour="grey" if colour_type in (0, 4) else "rgb",
        bits=max(depth, 8),
        alpha=alpha or colour_type in (4, 6),
        orientation=orientation,
    )


_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # neither stuffed nor fill byte nor restart


def _probe_jpeg(data: bytes, subject: str) -> ImageHeader:
    """Walk the markers (T.81 B.1), over the entropy-coded data between them, to the end-of-image marker."""
    frame = (0, 0, 0, 0, 0)
    orientation = 0
    scan_seen = False
    position = 2
    while (found := _JPEG_MARKER.search(data, position)) is not None:
        marker, position = data[found.end() - 1], found.end()
        if marker == 0xD9:
            break
        if marker in (0x01, 0xD8):  # these have no length
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if marker == 0xDA:
            scan_seen = True
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and not any(frame):
            frame = (marker, *struct.unpack_from(">BHHB", data, position + 2))
        elif marker == 0xE1 and not orientation and data[position + 2 : position + 8] == b"Exif\0\0":
            orientation = exif_orientation(data[position + 8 : position + length])
        position += length
    else:
        raise _truncated("JPEG", data, subject)
    kind, depth, height, width, components = frame
    if not any(frame) or not scan_seen:
        raise _damaged("JPEG", "it has no pixel data", subject)
    if kind not in (0xC0, 0xC1, 0xC2):
        got = f"a lossless, hierarchical or arithmetic-coded JPEG (SOF{kind - 0xC0})"
        raise InvalidInput(subject, got=got, expected="a baseline or progressive JPEG", fix=_AS_PNG)
    if depth != 8:
        raise _samples(f"{depth}-bit samples", subject)
    if components not in (1, 3):
        raise _samples(f"{components} channels" + " (CMYK)" * (components == 4), subject)
    return ImageHeader("JPEG", height, width, "grey" if components == 1 else "rgb", 8, orientation=orientation or 1)


def _probe_bmp(data: bytes, subject: str) -> ImageHeader:
    """Read the file and information headers; rows are padded to four bytes."""
    pixel_offset, header_size = struct.unpack_from("<II", data, 10)
    if header_size == 12:  # OpenCV makes these grey
        raise InvalidInput(subject, got="a BMP of OS/2", expected="a BMP of Windows", fix=_AS_PNG)
    if header_size < 40:
        raise _damaged("BMP", f"a header of {header_size} bytes", subject)
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression not in (0, 3):
        raise InvalidInput(subject, got="a compressed BMP", expected="an uncompressed BMP", fix=_AS_PNG)
    if bits not in (8, 24, 32):
        raise _samples(f"{bits} bits per pixel", subject)
    if compression == 3 and struct.unpack_from("<III", data, 54) != (0xFF0000, 0xFF00, 0xFF):
        # OpenCV takes the bytes for blue, green, red whatever the masks say
        raise InvalidInput(
            subject, got="a BMP with its own colour masks", expected="bytes in the usual order", fix=_AS_PNG
        )
    height = abs(height)  # negative where the top row comes first
    if len(data) < pixel_offset + (max(width, 0) * bits + 31) // 32 * 4 * height:
        raise _truncated("BMP", data, subject)
    (colours,) = struct.unpack_from("<I", data, 46)
    palette = data[14 + header_size : 14 + header_size + 4 * min(colours or 256, 256)]
    grey = bits == 8 and palette[::4] == palette[1::4] == palette[2::4]
    return ImageHeader("BMP", height, width, colour="grey" if grey else "rgb", bits=8)


_TIFF_COLOURS = {0: "grey", 1: "grey", 2: "rgb", 3: "rgb", 6: "rgb"}  # PhotometricInterpretation
_TIFF_COMPRESSIONS = (1, 5, 7, 8, 32773, 32946)  # none, LZW, JPEG, deflate, PackBits, old deflate
_TIFFFILE_COMPRESSIONS = (1, 8, 32773, 32946)  # what tifffile decodes without further packages


def _probe_tiff(data: bytes, subject: str) -> ImageHeader:
    """Read the one directory; every strip or tile must lie inside the file."""
    tags = read_directory(data)
    if tags.next_position:
        raise _several("pages", subject)
    width, height = tags.value(256, 0), tags.value(257, 0)
    depths, kinds = tags.values(258, (1,)), tags.values(339, (1,))
    compression, photometric = tags.value(259, 1), tags.value(262, -1)
    channels, separate = tags.value(277, 1), tags.value(284, 1) == 2
    extra = tags.values(338)
    if set(kinds) != {1}:
        name = {2: "signed integer", 3: "floating-point"}.get(kinds[0], "complex or undefined")
        raise _samples(f"{depths[0]}-bit {name} samples", subject)
    if photometric not in _TIFF_COLOURS:
        name = {5: "CMYK", 8: "Lab"}.get(photometric, f"number {photometric}")
        raise _samples(f"TIFF colour model {name}", subject)
    colour = _TIFF_COLOURS[photometric]
    colours = 3 if colour == "rgb" and photometric != 3 else 1
    alpha = channels == colours + 1 and extra in ((1,), (2,))
    if channels != colours + alpha:
        raise _samples(f"{channels} channels", subject)
    if set(depths) not in ({8}, {16}) or (photometric == 3 and depths[0] != 8):
        raise _samples(f"{depths[0]}-bit samples", subject)
    if compression not in _TIFF_COMPRESSIONS or (photometric == 6 and compression != 7):
        got = f"TIFF compression {compression} with colour model {photometric}"
        raise InvalidInput(subject, got=got, expected="none, LZW, deflate, PackBits or JPEG", fix=_AS_PNG)
    needs_tifffile = alpha or (depths[0] == 16 and (separate or photometric == 0))
    needs_tifffile |= compression in (8, 32946) and photometric != 3
    if needs_tifffile and compression not in _TIFFFILE_COMPRESSIONS:
        got = f"TIFF compression {compression} with transparency, separate planes or white as zero"
        raise InvalidInput(subject, got=got, expected="no compression or deflate for this layout", fix=_AS_PNG)
    if min(height, width) > 0:
        _check_tiff_extent(tags, height, width, channels if separate else 1, subject)
    orientation = tags.value(ORIENTATION_TAG, 1)
    turned = 2 <= orientation <= 8
    return ImageHeader(
        "TIFF",
        height,
        width,
        colour="grey" if colour == "grey" else "rgb",
        bits=depths[0],
        alpha=alpha,
        orientation=orientation if turned else 1,
        upright_patch=tags.encoded(ORIENTATION_TAG, 1) if turned else None,
        needs_tifffile=needs_tifffile,
    )


def _check_tiff_extent(tags: TiffDirectory, height: int, width: int, planes: int, subject: str) -> None:
    """Refuse a TIFF whose strips or tiles are too few, empty, or not inside the file."""
    if 322 in tags.entries:
        tile_width, tile_height = tags.value(322, 0), tags.value(323, 0)
        offsets, lengths = tags.values(324), tags.values(325)
    else:
        tile_width, tile_height = width, min(tags.value(278, height), height)
        offsets, lengths = tags.values(273), tags.values(279)
    if tile_width == 0 or tile_height == 0:
        raise _damaged("TIFF", "it has tiles of size zero", subject)
    count = -(-height // tile_height) * -(-width // tile_width) * planes
    if len(offsets) != count or len(lengths) != count or 0 in lengths:
        raise _damaged("TIFF", f"it lacks some of its {count} strips or tiles", subject)
    if max(offset + length for offset, length in zip(offsets, lengths, strict=True)) > len(tags.data):
        raise _truncated("TIFF", tags.data, subject)


_PROBES: dict[bytes, tuple[str, Callable[[bytes, str], ImageHeader]]] = {
    b"\x89PNG\r\n\x1a\n": ("PNG", _probe_png),
    b"\xff\xd8": ("JPEG", _probe_jpeg),
    b"BM": ("BMP", _probe_bmp),
    b"II*\0": ("TIFF", _probe_tiff),
    b"MM\0*": ("TIFF", _probe_tiff),
    b"II+\0": ("TIFF", _probe_tiff),
    b"MM\0+": ("TIFF", _probe_tiff),
}

_OTHERS = {
    re.compile(rb".{128}DICM", re.DOTALL): "DICOM",
    re.compile(rb"GIF8"): "GIF",
    re.compile(rb"RIFF.{4}WEBP", re.DOTALL): "WebP",
    re.compile(rb".{4}(jP  |ftypjp)|\xff\x4f\xff\x51", re.DOTALL): "JPEG 2000",
    re.compile(rb".{4}ftyp(heic|heif|mif1|avif)", re.DOTALL): "HEIC or AVIF",
    re.compile(rb"%PDF"): "PDF",
    re.compile(rb"PK\x03\x04"): "zip",
    re.compile(rb"version https://git-lfs"): "Git LFS pointer",
}


def _truncated(name: str, data: bytes, subject: str) -> InvalidInput:
    got = f"a truncated or malformed {name} ({len(data)} bytes)"
    return InvalidInput(subject, got=got, expected=f"a complete {name}", fix=_AGAIN)


def _damaged(name: str, reason: str, subject: str) -> InvalidInput:
    return InvalidInput(subject, got=f"a damaged {name}: {reason}", expected=f"a valid {name}", fix=_AGAIN)


def _samples(got: str, subject: str) -> InvalidInput:
    return InvalidInput(subject, got=got, expected="8- or 16-bit unsigned grey or RGB", fix=_AS_PNG)


def _several(what: str, subject: str) -> InvalidInput:
    return InvalidInput(subject, got=f"several {what}", expected="one image per file", fix="save the wanted one alone")
