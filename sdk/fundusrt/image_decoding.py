"""From the bytes of an image file to upright grey or RGB pixels.

OpenCV decodes; tifffile takes the few TIFF layouts that OpenCV gets wrong. An input's colour order is changed here and
nowhere else. Orientation is applied here and only here: both decoders are asked for the pixels as stored.
"""

from __future__ import annotations

import io
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from fundusrt.errors import InvalidInput
from fundusrt.image_header import ImageHeader

__all__ = ["Pixels", "decode_pixels"]

Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]


def decode_pixels(data: bytes, header: ImageHeader, subject: str) -> Pixels:
    """Decode an image file.

    Args:
        data: the whole file.
        header: what `probe_header` found in it.
        subject: the file's name, for errors.

    Returns:
        (H, W) grey or (H, W, 3) RGB, uint8 or uint16, upright, without transparency.

    Raises:
        InvalidInput: the data are damaged or fully transparent.
    """
    return _upright(_to_rgb(_decode(data, header, subject), header, subject), header.orientation)


def _decode(data: bytes, header: ImageHeader, subject: str) -> NDArray[Any]:
    """Decode to samples as stored: grey (H, W) or BGR[A] (H, W, 3|4), not yet upright."""
    pixels = _decode_tifffile(data, subject) if header.needs_tifffile else _decode_opencv(data, header, subject)
    if pixels is None:
        raise InvalidInput(
            subject,
            got=f"damaged {header.format} data",
            expected=f"{header.height} x {header.width} px that can be decoded",
            fix="copy or export the file again",
        )
    lost_colour = header.colour == "rgb" and pixels.ndim == 2
    if lost_colour or pixels.shape[:2] != (header.height, header.width) or pixels.dtype.itemsize * 8 != header.bits:
        raise InvalidInput(
            subject,
            got=f"decoded pixels of shape {pixels.shape} and type {pixels.dtype}",
            expected=f"{header.height} x {header.width} px, {header.colour} of {header.bits} bits, as its header says",
            fix="export the file again, as PNG",
        )
    return pixels


def _decode_opencv(data: bytes, header: ImageHeader, subject: str) -> NDArray[Any] | None:
    import cv2

    encoded = np.frombuffer(data, np.uint8)
    if header.upright_patch is not None:
        # OpenCV turns TIFF images although IMREAD_UNCHANGED promises not to: tell it they are upright.
        encoded = encoded.copy()
        start, upright = header.upright_patch
        encoded[start : start + len(upright)] = np.frombuffer(upright, np.uint8)
    try:
        return cast("NDArray[Any] | None", cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED))
    except cv2.error as error:
        reason = str(getattr(error, "err", None) or error).strip()
        raise InvalidInput(
            subject,
            got=f"{header.format} data that OpenCV refuses ({reason})",
            expected=f"{header.height} x {header.width} px that can be decoded",
            fix="export the file again, as PNG; OpenCV's own limit is 1073 megapixels (OPENCV_IO_MAX_IMAGE_PIXELS)",
        ) from error


def _decode_tifffile(data: bytes, subject: str) -> NDArray[Any] | None:
    """Decode the TIFF layouts that OpenCV gets wrong, into OpenCV's channel order."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = cast("Any", file.pages[0])
            pixels = cast("NDArray[Any]", page.asarray())
            if pixels.ndim == 3 and int(page.planarconfig) == 2:
                pixels = np.moveaxis(pixels, 0, -1)
            if int(page.photometric) == 0:  # white is zero
                pixels = np.iinfo(pixels.dtype).max - pixels
    except Exception as error:  # the library raises whatever its codecs raise
        raise InvalidInput(
            subject,
            got=f"damaged TIFF data ({error})",
            expected="a TIFF that can be decoded",
            fix="copy or export the file again",
        ) from error
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.ndim == 3 and pixels.shape[2] == 2:  # grey and alpha, as OpenCV gives it for PNG
        return np.ascontiguousarray(pixels[:, :, [0, 0, 0, 1]])
    if pixels.ndim == 3:
        return np.ascontiguousarray(pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]])
    return pixels


def _to_rgb(pixels: NDArray[Any], header: ImageHeader, subject: str) -> NDArray[Any]:
    """Drop alpha and turn BGR into RGB; grey stays (H, W)."""
    import cv2

    if pixels.ndim == 2:
        return pixels
    if header.alpha and pixels.shape[2] == 4 and not pixels[:, :, 3].any():
        raise InvalidInput(
            subject,
            got="a fully transparent image",
            expected="visible pixels",
            fix="export it again without transparency",
        )
    if header.colour == "grey":
        return np.ascontiguousarray(pixels[:, :, 0])
    code = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cast("NDArray[Any]", cv2.cvtColor(pixels, code))


def _upright(pixels: NDArray[Any], orientation: int) -> Pixels:
    """Apply an EXIF or TIFF orientation, 1 to 8 (TIFF 6.0, tag 274)."""
    if orientation >= 5:  # rows and columns are exchanged
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
