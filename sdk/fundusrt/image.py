"""The door of the SDK: files and arrays become a checked `FundusImage`, or an error that says why not.

Bit depth comes from the file or the dtype and is never guessed from the values.
"""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from fundusrt.errors import InvalidInput
from fundusrt.field_of_view import find_field_of_view
from fundusrt.image_decoding import Pixels, decode_pixels
from fundusrt.image_header import probe_header

__all__ = ["MIN_SIDE_PX", "FundusImage", "Pixels", "from_array", "read_image"]

MIN_SIDE_PX = 32
"""Images with a shorter side than this are refused: no fundus structure is left to be seen at such a size."""

_FORMATS = "a PNG, JPEG, TIFF or BMP image"
_HEADROOM_BYTES = 64 * 2**20  # metadata, thumbnails and previews beside the pixels


@dataclass(frozen=True, eq=False)
class FundusImage:
    """Pixels of one fundus image and what is known about them.

    The arrays are kept as read-only views: the image cannot be changed through this object, and an array
    given to the constructor stays as writable as it was. Two images are equal only when they are the same
    object.

    Attributes:
        pixels: (H, W) grey or (H, W, 3) RGB, uint8 or uint16, full range of the dtype.
        fov: (H, W) bool, true inside the field of view.
        source_id: where the image came from; a file's name for `read_image`.
        mm_per_px: side of one pixel in millimetres, or None where unknown.
        laterality: "L" or "R" eye, or None where unknown.

    Raises:
        InvalidInput: wrong shape, dtype or value of any attribute.

    Example:
        >>> image = FundusImage(np.zeros((64, 80), np.uint8), np.ones((64, 80), bool), "example")
        >>> image.height, image.width
        (64, 80)
    """

    pixels: Pixels
    fov: NDArray[np.bool_]
    source_id: str
    mm_per_px: float | None = None
    laterality: Literal["L", "R"] | None = None

    def __post_init__(self) -> None:
        pixels = _checked_pixels(self.pixels, self.source_id)
        fov = _checked_fov(self.fov, pixels.shape[:2], self.source_id)
        if self.mm_per_px is not None and not (is_positive(self.mm_per_px) and math.isfinite(self.mm_per_px)):
            raise InvalidInput(
                f"{self.source_id}: mm_per_px",
                got=self.mm_per_px,
                expected="a positive number of millimetres per pixel",
                fix="pass None where the scale is unknown",
            )
        if self.laterality not in (None, "L", "R"):
            raise InvalidInput(
                f"{self.source_id}: laterality",
                got=repr(self.laterality),
                expected="'L', 'R' or None",
                fix="pass None where the side is unknown",
            )
        object.__setattr__(self, "pixels", _read_only(pixels))
        object.__setattr__(self, "fov", _read_only(fov))

    @property
    def height(self) -> int:
        """Number of rows, px."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Number of columns, px."""
        return self.pixels.shape[1]


def is_positive(value: object) -> bool:
    """Return whether a value is a number above 0; NaN and booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def from_array(array: object, *, source_id: str = "array", fov: object | None = None) -> FundusImage:
    """Make an image from an array.

    A contiguous array in the machine's byte order is used without a copy, so later changes to it show in the
    image; pass ``array.copy()`` when it will change. Other arrays are copied.

    Args:
        array: (H, W) grey or (H, W, 3) RGB, uint8 or uint16, full range of the dtype; sides of at least
            `MIN_SIDE_PX`.
        source_id: the name used in results and errors.
        fov: (H, W) bool mask of the field of view; found by `find_field_of_view` where None.

    Returns:
        The image, without scale and laterality.

    Raises:
        InvalidInput: not an array, or a shape, size or dtype that is not allowed. Floats are refused because
            their scale would have to be guessed.

    Example:
        >>> from_array(np.full((64, 80), 200, np.uint8)).fov.all()
        np.True_
    """
    pixels = _checked_pixels(array, source_id)
    _check_sides(pixels.shape[0], pixels.shape[1], source_id)
    mask = find_field_of_view(pixels) if fov is None else _checked_fov(fov, pixels.shape[:2], source_id)
    return FundusImage(pixels, mask, source_id)


def read_image(path: str | os.PathLike[str], *, max_megapixels: float = 200.0) -> FundusImage:
    """Read a PNG, JPEG, TIFF or BMP file.

    The content decides the format, not the file's ending. 8 and 16 bits per channel are kept. The orientation
    stored in the file (EXIF, or the TIFF tag) is applied, once. Palette images become RGB. Transparency is
    dropped: the stored colours are used as they are; an image that is fully transparent is refused. Embedded
    colour profiles and gamma are not applied, since the networks were trained on stored values.

    Args:
        path: the file.
        max_megapixels: largest allowed size; larger images are refused from their header, before any pixel is
            decoded.

    Returns:
        The image with the field of view found by `find_field_of_view`; ``source_id`` is the file's name.

    Raises:
        InvalidInput: the file is missing, unreadable, empty, truncated, damaged, not one of the formats, too
            large, smaller than `MIN_SIDE_PX` on a side, holds more than one image, or has samples other than
            8- or 16-bit unsigned grey or RGB.
    """
    if not is_positive(max_megapixels):
        raise InvalidInput(
            "max_megapixels", got=repr(max_megapixels), expected="a positive number", fix="leave it out to allow 200"
        )
    subject = os.fspath(path)
    data = _read_file(Path(path), subject, max_megapixels)
    header = probe_header(data, subject)
    megapixels = header.height * header.width / 1e6
    if megapixels > max_megapixels:
        raise InvalidInput(
            subject,
            got=f"{header.height} x {header.width} px ({megapixels:.1f} megapixels)",
            expected=f"at most {max_megapixels:g} megapixels",
            fix=f"crop or reduce it, or allow it with max_megapixels={math.ceil(megapixels)}",
        )
    _check_sides(header.height, header.width, subject)
    pixels = decode_pixels(data, header, subject)
    return FundusImage(pixels, find_field_of_view(pixels), Path(path).name)


def _read_file(path: Path, subject: str, max_megapixels: float) -> bytes:
    """Read a whole file, after making sure that it is one and that its size is sensible."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InvalidInput(
                subject, got="a folder", expected=_FORMATS, fix="pass a file inside it, or `fundusrt run` the folder"
            )
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(subject, got="a pipe or a device", expected=_FORMATS, fix="save it to a file first")
        largest = max_megapixels * 1e6 * 8 + _HEADROOM_BYTES  # 8 bytes: 16-bit RGBA, uncompressed
        if status.st_size > largest:
            raise InvalidInput(
                subject,
                got=f"a file of {status.st_size / 2**20:.0f} MiB",
                expected=f"at most {largest / 2**20:.0f} MiB, which {max_megapixels:g} megapixels can need",
                fix="check that this is an image, or raise max_megapixels",
            )
        data = path.read_bytes()
    except InvalidInput:  # which is a ValueError, too
        raise
    except FileNotFoundError as error:
        raise InvalidInput(subject, got="no such file", expected=_FORMATS, fix="check the path") from error
    except PermissionError as error:
        raise InvalidInput(
            subject,
            got="a file that may not be read (permission denied)",
            expected="read access",
            fix="change its permissions or run as its owner",
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise InvalidInput(
            subject, got=f"a file that cannot be read ({error})", expected=_FORMATS, fix="check the path and the disk"
        ) from error
    if not data:
        raise InvalidInput(subject, got="an empty file (0 bytes)", expected=_FORMATS, fix="copy or export it again")
    return data


def _checked_pixels(array: object, subject: str) -> Pixels:
    """Return the array, contiguous and in native byte order, or say what is wrong with it."""
    expected = "a NumPy array (H, W) grey or (H, W, 3) RGB of uint8 or uint16"
    if not isinstance(array, np.ndarray):
        raise InvalidInput(
            subject, got=type(array).__name__, expected=expected, fix="convert it with numpy.asarray first"
        )
    values = cast("NDArray[Any]", array)
    got = f"shape {values.shape}, {values.dtype}"
    if isinstance(values, np.ma.MaskedArray):
        raise InvalidInput(subject, got="a masked array", expected=expected, fix="fill it: array.filled(0)")
    if values.dtype.kind == "f":
        fix = "its scale would have to be guessed: convert it to uint8 or uint16 yourself"
        raise InvalidInput(subject, got=got, expected=expected, fix=fix)
    if values.dtype.kind == "b":
        raise InvalidInput(subject, got=got, expected=expected, fix="a mask is not an image: pass the image itself")
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        fix = "convert it: array.astype(numpy.uint8) or numpy.uint16, whichever holds its range"
        raise InvalidInput(subject, got=got, expected=expected, fix=fix)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3) or 0 in values.shape:
        raise InvalidInput(subject, got=got, expected=expected, fix=_shape_fix(values.shape))
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


def _shape_fix(shape: tuple[int, ...]) -> str:
    """Give the index expression that most likely turns an array of this shape into an image."""
    if 0 in shape:
        return "pass an array that holds pixels"
    if len(shape) == 3 and shape[2] == 1:
        return "drop the last axis: array[..., 0]"
    if len(shape) == 3 and shape[2] == 2:
        return "drop the alpha channel: array[..., 0]"
    if len(shape) == 3 and shape[2] == 4:
        return "drop the alpha channel: array[..., :3]"
    if len(shape) == 3 and shape[0] == 3:
        return "move the channels last: numpy.moveaxis(array, 0, -1)"
    if len(shape) == 4:
        return "pass one image of the batch at a time"
    return "choose one grey or three colour channels"


def _check_sides(height: int, width: int, subject: str) -> None:
    if min(height, width) < MIN_SIDE_PX:
        raise InvalidInput(
            subject,
            got=f"{height} x {width} px",
            expected=f"at least {MIN_SIDE_PX} px on each side",
            fix="pass the full-size image",
        )


def _checked_fov(fov: object, shape: tuple[int, ...], subject: str) -> NDArray[np.bool_]:
    expected = f"a bool array of shape {shape}, like the image"
    if not isinstance(fov, np.ndarray):
        raise InvalidInput(
            f"{subject}: fov", got=type(fov).__name__, expected=expected, fix="leave it out to have it found"
        )
    mask = cast("NDArray[Any]", fov)
    got = f"shape {mask.shape}, {mask.dtype}"
    if mask.dtype != np.bool_:
        raise InvalidInput(f"{subject}: fov", got=got, expected=expected, fix="threshold it: fov > 0")
    if mask.shape != shape:
        fix = "make it from the same image, or leave it out to have it found"
        raise InvalidInput(f"{subject}: fov", got=got, expected=expected, fix=fix)
    return np.ascontiguousarray(mask)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written through; the caller's own array stays as it was."""
    view = array.view(np.ndarray)
    view.flags.writeable = False
    return view
