"""One image with its exudate annotation, whatever form that has on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput

__all__ = ["ExudateCase", "Part", "images_in", "picture_mask", "size_of"]

Mask = npt.NDArray[np.bool_]
Part = Literal["train", "test"]

_IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class ExudateCase:
    """An image and its annotation.

    Attributes:
        name: unique in the data set.
        image: the photograph.
        annotation: the files the mask is read from; none where the image has no exudates.
        decode: makes the mask, (H, W) bool, from `annotation` at a size (height, width).
    """

    name: str
    image: Path
    annotation: tuple[Path, ...]
    decode: Callable[[tuple[Path, ...], tuple[int, int]], Mask]

    def mask(self) -> Mask:
        """Return the mask at the image's size.

        Raises:
            InvalidInput: an annotation that cannot be read or has another size.
        """
        size = size_of(self.image)
        mask = self.decode(self.annotation, size) if self.annotation else np.zeros(size, np.bool_)
        if mask.shape != size:
            raise InvalidInput(
                self.annotation[0],
                got=f"{mask.shape[0]} x {mask.shape[1]} px",
                expected=f"{size[0]} x {size[1]} px, the size of {self.image.name}",
                fix="use image and annotation of one resolution",
            )
        return mask


def size_of(path: Path) -> tuple[int, int]:
    """Return (height, width) of an image file from its header. Raises InvalidInput where it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise InvalidInput(path, got=str(error), expected="an image file", fix="copy the data set again") from error


def images_in(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by stem, sorted; empty where there is no such folder."""
    if not folder.is_dir():
        return {}
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES and path.name[0] != ".")
    return {path.stem: path for path in found}


def picture_mask(files: tuple[Path, ...], size: tuple[int, int]) -> Mask:
    """Read a picture in which everything but black is marked, in whatever one colour (IDRiD marks in red).

    Raises:
        InvalidInput: not a picture, or marked in several colours: smoothed, or several lesions in one.
    """
    from PIL import Image, UnidentifiedImageError

    del size  # `ExudateCase.mask` compares
    (path,) = files
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise InvalidInput(path, got=str(error), expected="an image file", fix="copy the data set again") from error
    mask = np.asarray(pixels.any(axis=2))
    marks = np.unique(pixels[mask], axis=0)
    if len(marks) > 1:
        raise InvalidInput(
            path,
            got=f"{len(marks)} colours beside black",
            expected="one: marked or not",
            fix="use the annotation as distributed, without smoothing",
        )
    return mask
