"""Image files made byte by byte or by other libraries, so that what `read_image` finds or refuses in them is known."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from fundusrt.errors import InvalidInput

DATA = Path(os.environ.get("FUNDUSRT_DATA", Path(__file__).parents[3] / "shared" / "data"))


def picture(height=48, width=64, *, channels=3, bits=8, seed=0):
    """Noise over a gradient, different in every channel: mirrored, swapped or shifted copies all differ."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    top = 2**bits - 1
    planes = [
        top * (0.1 + 0.5 * rows / height + 0.3 * columns / width) / (1 + channel / 3) for channel in range(channels)
    ]
    noisy = np.stack(planes, -1) + generator.uniform(0, top / 20, (height, width, channels))
    pixels = noisy.astype(np.uint8 if bits == 8 else np.uint16)
    return pixels[:, :, 0] if channels == 1 else pixels


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples, *, depth=None, colour_type=None, before=b"", after=b"", size=None) -> bytes:
    """A PNG of (H, W) or (H, W, C) samples; `before` and `after` are chunks around the pixel data."""
    height, width = size or samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    depth = depth or samples.dtype.itemsize * 8
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels] if colour_type is None else colour_type
    rows = samples.reshape(samples.shape[0], -1)
    if depth < 8:
        bits = (rows[:, :, None] >> np.arange(depth - 1, -1, -1, dtype=np.uint8)) & 1
        packed = np.packbits(bits.reshape(rows.shape[0], -1), axis=1)
    else:
        packed = np.ascontiguousarray(rows.astype(f">u{depth // 8}")).view(np.uint8)
    raw = np.pad(packed, ((0, 0), (1, 0))).tobytes()  # filter 0 before every row
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    data = png_chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + before + data + after + png_chunk(b"IEND", b"")


def bmp(samples, *, top_down=False, palette=None, core=False, masks=None) -> bytes:
    """A BMP of (H, W) indices with a palette, or of (H, W, 3) or (H, W, 4) RGB[X] samples."""
    height, width = samples.shape[:2]
    bits = 8 if samples.ndim == 2 else 8 * samples.shape[2]
    rows = samples.reshape(height, -1) if samples.ndim == 2 else samples[:, :, [2, 1, 0, 3][: samples.shape[2]]]
    rows = rows.reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    body = (rows if top_down else rows[::-1]).tobytes()
    table = b""
    if samples.ndim == 2:
        palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1) if palette is None else palette
        table = np.pad(palette[:, ::-1], ((0, 0), (0, 1))).tobytes()
    if core:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        shown = -height if top_down else height
        header = struct.pack("<IiiHHIIiiII", 40, width, shown, 1, bits, 0, len(body), 0, 0, len(table) // 4, 0)
    if masks is not None:  # which bits are red, green, blue
        header = header[:16] + struct.pack("<I", 3) + header[20:]
        table = struct.pack("<III", *masks)
    offset = 14 + len(header) + len(table)
    return struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset) + header + table + body


def tiff(samples, **options) -> bytes:
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(file, samples, **({"photometric": "rgb" if samples.ndim == 3 else "minisblack"} | options))
    return file.getvalue()


def pillow(samples, kind, **options) -> bytes:
    """A file written by Pillow from an array or a Pillow image."""
    from PIL import Image

    file = io.BytesIO()
    image = Image.fromarray(samples) if isinstance(samples, np.ndarray) else samples
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    """The TIFF block of EXIF data with nothing but an orientation."""
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 274, 3, 1, orientation, 0, 0)


def oriented(upright, orientation: int):
    """The stored pixels whose orientation tag makes them `upright` (EXIF 2.32 4.6.5, figure of tag 274)."""
    return {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),  # shown by a quarter turn to the right
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation](upright).copy()


GREY, RGB = picture(channels=1), picture()
GREY16, RGB16 = picture(channels=1, bits=16), picture(bits=16)
ALPHA, ALPHA16 = picture(channels=4), picture(channels=4, bits=16)
# For a property of files: every example is written to the same path.
SAME_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def refusal(function, *arguments, **options) -> str:
    """The message of an `InvalidInput`, which must say what was got, what was expected and what to do."""
    with pytest.raises(InvalidInput) as caught:
        function(*arguments, **options)
    error = caught.value
    assert error.got
    assert error.expected
    assert error.fix
    return str(error)
