"""Which data set is it? By the folders' names alone; several that fit, or none, is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fundusrt.errors import InvalidInput
from fundusrt_training.data.folder import read_folder
from fundusrt_training.data.framed_eye import EyeFiles
from fundusrt_training.data.vessels import drive, hrf

__all__ = ["Part", "read_vessels"]

Part = Literal["train", "test"]

_PLAIN = "`images/` with `masks/` (plain folders)"


def read_vessels(root: Path, part: Part = "train") -> list[EyeFiles]:
    """Return the photographs of a data folder, whichever of the known layouts it has, sorted by name.

    Args:
        root: the folder.
        part: of DRIVE, which has an official split; a folder of another layout may have `train/` and `test/` inside,
            and is returned whole otherwise.

    Raises:
        InvalidInput: no layout fits, or the data are incomplete.
    """
    if (root / part).is_dir() and not drive.is_drive(root):
        root = root / part
    known = (
        (drive.is_drive(root), drive.LAYOUT),
        (hrf.is_hrf(root), hrf.LAYOUT),
        ((root / "images").is_dir() and (root / "masks").is_dir(), _PLAIN),
    )
    fits = [layout for fitting, layout in known if fitting]
    if len(fits) != 1:
        inside = sorted(path.name for path in root.iterdir())[:5] if root.is_dir() else []
        raise InvalidInput(
            root,
            got=" and ".join(fits) if fits else ", ".join(inside) or "nothing there",
            expected="one of " + "; ".join(layout for _, layout in known),
            fix="name the folder that holds these",
        )
    if drive.is_drive(root):
        return drive.read_drive(root, part)
    if hrf.is_hrf(root):
        return hrf.read_hrf(root)
    return [EyeFiles(case.name, case.image, case.mask, case.fov) for case in read_folder(root)]
