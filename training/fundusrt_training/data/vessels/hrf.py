"""HRF (Budai et al. 2013): 45 photographs of 3504 x 2336 px with vessels and fields of view.

images/01_dr.JPG    manual1/01_dr.tif            mask/01_dr_mask.tif      as distributed
images/01_dr.JPG    vessel/01_dr_vessel.png      fov/01_dr_mask.png       as repackaged
"""

from __future__ import annotations

from pathlib import Path

from fundusrt.errors import InvalidInput
from fundusrt.inputs import IMAGE_SUFFIXES
from fundusrt_training.data.folder import MASK_SUFFIXES, files_by_stem
from fundusrt_training.data.framed_eye import EyeFiles

__all__ = ["LAYOUT", "is_hrf", "read_hrf"]

LAYOUT = "`images/` with `manual1/` and `mask/`, or with `vessel/` and `fov/` (HRF)"

# folder and ending of the vessels, folder and ending of the fields of view
_FORMS = ((("manual1", ""), ("mask", "_mask")), (("vessel", "_vessel"), ("fov", "_mask")))


def is_hrf(root: Path) -> bool:
    """Return whether a folder is laid out so."""
    return (root / "images").is_dir() and any((root / vessels).is_dir() for (vessels, _), _ in _FORMS)


def read_hrf(root: Path) -> list[EyeFiles]:
    """Return the photographs, sorted by name.

    Raises:
        InvalidInput: a photograph without its vessels or its field of view.
    """
    images = files_by_stem(root / "images", IMAGE_SUFFIXES)
    vessels, fields = next(form for form in _FORMS if (root / form[0][0]).is_dir())
    found = [_of(root / folder, ending, sorted(images)) for folder, ending in (vessels, fields)]
    return [EyeFiles(stem, images[stem], found[0][stem], found[1][stem]) for stem in sorted(images)]


def _of(folder: Path, ending: str, stems: list[str]) -> dict[str, Path]:
    """Return the file of every photograph in a folder."""
    files = files_by_stem(folder, MASK_SUFFIXES)
    missing = [stem for stem in stems if stem + ending not in files]
    if missing:
        raise InvalidInput(
            folder,
            got=f"nothing for {len(missing)} of {len(stems)} images, first {missing[0]}",
            expected=f"{missing[0]}{ending} with one of {', '.join(MASK_SUFFIXES)}",
            fix="unpack the data set again",
        )
    return {stem: files[stem + ending] for stem in stems}
