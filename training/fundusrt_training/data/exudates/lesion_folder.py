"""Plain folders: `images/NAME.*` with `EX/NAME_EX.*` or `masks/NAME.*`; an image without a file in `EX/` has none.

With `masks/`, every image needs its mask: there, a missing file is more often a mistake than an eye without lesions.
"""

from __future__ import annotations

from pathlib import Path

from fundusrt.errors import InvalidInput
from fundusrt_training.data.exudates.case import ExudateCase, images_in, picture_mask
from fundusrt_training.data.folder import read_folder

__all__ = ["LAYOUT", "is_lesion_folder", "read_lesion_folder"]

LAYOUT = "`images/` with `EX/` or `masks/` (plain folders)"


def is_lesion_folder(root: Path) -> bool:
    """Return whether a folder is laid out so."""
    return (root / "images").is_dir() and ((root / "EX").is_dir() or (root / "masks").is_dir())


def read_lesion_folder(root: Path) -> list[ExudateCase]:
    """Return the cases, sorted by name.

    Raises:
        InvalidInput: no images, or annotations that belong to none.
    """
    if (root / "masks").is_dir():
        return [ExudateCase(case.name, case.image, (case.mask,), picture_mask) for case in read_folder(root)]
    images, masks = images_in(root / "images"), images_in(root / "EX")
    marked = {stem.removesuffix("_EX"): path for stem, path in masks.items()}
    strays = sorted(set(marked) - set(images))
    if not images or strays:
        raise InvalidInput(
            root / ("EX" if strays else "images"),
            got=f"{marked[strays[0]].name} without an image" if strays else "no images",
            expected="images/NAME.* and EX/NAME_EX.*",
            fix="give image and annotation the same name",
        )
    return [
        ExudateCase(stem, path, (marked[stem],) if stem in marked else (), picture_mask)
        for stem, path in images.items()
    ]
