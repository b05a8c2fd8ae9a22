"""IDRiD as distributed (Porwal et al. 2018, "A. Segmentation"), at any resolution.

    1. Original Images/            a. Training Set/IDRiD_01.jpg         b. Testing Set/IDRiD_55.jpg
    2. All Segmentation Groundtruths/a. Training Set/3. Hard Exudates/IDRiD_01_EX.tif     b. Testing Set/...

The root is `A. Segmentation` or the folder that holds it. An image without an annotation has no exudates.
"""

from __future__ import annotations

from pathlib import Path

from fundusrt.errors import InvalidInput
from fundusrt_training.data.exudates.case import ExudateCase, Part, images_in, picture_mask

__all__ = ["LAYOUT", "is_idrid", "read_idrid"]

LAYOUT = "`1. Original Images/` and `2. All Segmentation Groundtruths/` (IDRiD)"

_IMAGES, _TRUTH = "1. Original Images", "2. All Segmentation Groundtruths"
_PARTS: dict[Part, str] = {"train": "a. Training Set", "test": "b. Testing Set"}


def is_idrid(root: Path) -> bool:
    """Return whether a folder is laid out so."""
    base = _base(root)
    return (base / _IMAGES).is_dir() and (base / _TRUTH).is_dir()


def read_idrid(root: Path, part: Part = "train") -> list[ExudateCase]:
    """Return the cases of the official training or test part, sorted by name.

    Raises:
        InvalidInput: no such part, or annotations without an image.
    """
    base, place = _base(root), _PARTS[part]
    images = images_in(base / _IMAGES / place)
    if not images:
        raise InvalidInput(
            base / _IMAGES / place, got="no images", expected="IDRiD_01.jpg and so on", fix="unpack the data set again"
        )
    masks = images_in(base / _TRUTH / place / "3. Hard Exudates")
    marked = {stem.removesuffix("_EX"): path for stem, path in masks.items()}
    strays = sorted(set(marked) - set(images))
    if strays or not marked:
        raise InvalidInput(
            base / _TRUTH / place / "3. Hard Exudates",
            got=f"{marked[strays[0]].name} without an image" if strays else "no annotations",
            expected="IDRiD_01_EX.tif and so on, for images of the same part",
            fix="unpack the data set again",
        )
    return [
        ExudateCase(stem, path, (marked[stem],) if stem in marked else (), picture_mask)
        for stem, path in images.items()
    ]


def _base(root: Path) -> Path:
    inner = root / "A. Segmentation"
    return inner if inner.is_dir() else root
