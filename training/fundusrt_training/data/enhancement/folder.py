"""A folder of enhancement data.

clean/NAME.*         good photographs (needed)
vessels/NAME.*       their vessels, two-valued, at their size (optional; all or none)
unlabelled/NAME.*    real photographs of low quality (optional)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fundusrt.errors import InvalidInput
from fundusrt.inputs import IMAGE_SUFFIXES
from fundusrt_training.data.folder import MASK_SUFFIXES, files_by_stem
from fundusrt_training.data.framed_eye import EyeFiles

__all__ = ["EnhancementFiles", "read_enhancement"]


@dataclass(frozen=True)
class EnhancementFiles:
    """What a folder holds, each list sorted by name.

    Attributes:
        clean: the good photographs.
        unlabelled: the bad ones.
        has_vessels: whether the good ones come with their vessels.
    """

    clean: list[EyeFiles]
    unlabelled: list[EyeFiles]
    has_vessels: bool


def read_enhancement(root: Path) -> EnhancementFiles:
    """Return the photographs of a folder.

    Raises:
        InvalidInput: no `clean/`, an empty folder, or vessels that belong to no photograph, or to some only.
    """
    if not (root / "clean").is_dir():
        inside = sorted(path.name for path in root.iterdir())[:5] if root.is_dir() else []
        raise InvalidInput(
            root,
            got=", ".join(inside) or "nothing there",
            expected="`clean/` with good photographs, optionally `vessels/` and `unlabelled/`",
            fix="name the folder that holds these",
        )
    images = files_by_stem(root / "clean", IMAGE_SUFFIXES)
    vessels = files_by_stem(root / "vessels", MASK_SUFFIXES) if (root / "vessels").is_dir() else {}
    unmatched = sorted(set(images) ^ set(vessels)) if vessels else []
    if unmatched:
        raise InvalidInput(
            root / "vessels",
            got=f"{len(vessels)} masks for {len(images)} photographs, first without a partner: {unmatched[0]}",
            expected="a mask of the same name for each photograph in clean/",
            fix="add the masks, or remove vessels/ and set data.vessel_checkpoint",
        )
    bad = files_by_stem(root / "unlabelled", IMAGE_SUFFIXES) if (root / "unlabelled").is_dir() else {}
    return EnhancementFiles(
        [EyeFiles(stem, images[stem], vessels.get(stem)) for stem in sorted(images)],
        [EyeFiles(stem, bad[stem]) for stem in sorted(bad)],
        bool(vessels),
    )
