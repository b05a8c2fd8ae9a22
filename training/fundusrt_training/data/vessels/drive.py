"""DRIVE as distributed (Staal et al. 2004): 20 photographs for training and 20 for test, 565 x 584 px.

    training/images/21_training.tif    1st_manual/21_manual1.gif    mask/21_training_mask.gif
    test/images/01_test.tif            1st_manual/01_manual1.gif    mask/01_test_mask.gif

The root is the folder that holds `training/` and `test/`, or one of these two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fundusrt.errors import InvalidInput
from fundusrt.inputs import IMAGE_SUFFIXES
from fundusrt_training.data.folder import files_by_stem
from fundusrt_training.data.framed_eye import EyeFiles

__all__ = ["LAYOUT", "is_drive", "read_drive"]

LAYOUT = "`training/` with `images/`, `1st_manual/` and `mask/` (DRIVE)"

_PARTS = {"train": "training", "test": "test"}
_OBSERVER = "1st_manual"


def is_drive(root: Path) -> bool:
    """Return whether a folder is laid out so."""
    return (root / _OBSERVER).is_dir() or any((root / part / _OBSERVER).is_dir() for part in _PARTS.values())


def read_drive(root: Path, part: Literal["train", "test"] = "train") -> list[EyeFiles]:
    """Return the photographs of a part with the first observer's vessels, sorted by name.

    Raises:
        InvalidInput: no such part, or a photograph without its vessels or its field of view.
    """
    base = root if (root / _OBSERVER).is_dir() else root / _PARTS[part]
    cases: list[EyeFiles] = []
    for stem, image in sorted(files_by_stem(base / "images", IMAGE_SUFFIXES).items()):
        number = stem.partition("_")[0]
        vessels, fov = base / _OBSERVER / f"{number}_manual1.gif", base / "mask" / f"{stem}_mask.gif"
        for file in (vessels, fov):
            if not file.is_file():
                raise InvalidInput(
                    file.parent, got=f"nothing for {image.name}", expected=file.name, fix="unpack the data set again"
                )
        cases.append(EyeFiles(stem, image, vessels, fov))
    return cases
