"""E-Ophtha-EX as distributed (Decenciere et al. 2013): 47 images with exudates, 35 without, in a folder a patient.

    EX/E0000404/C0001883.jpg       Annotation_EX/E0000404/C0001883_EX.png       healthy/E0000043/C0000887.jpg

The root is `e_optha_EX` or the folder that holds it. There is no official split.
"""

from __future__ import annotations

from pathlib import Path

from fundusrt.errors import InvalidInput
from fundusrt_training.data.exudates.case import ExudateCase, images_in, picture_mask

__all__ = ["LAYOUT", "is_eophtha", "read_eophtha"]

LAYOUT = "`EX/` and `Annotation_EX/` (E-Ophtha-EX)"


def is_eophtha(root: Path) -> bool:
    """Return whether a folder is laid out so."""
    base = _base(root)
    return (base / "EX").is_dir() and (base / "Annotation_EX").is_dir()


def read_eophtha(root: Path, *, healthy: bool = False) -> list[ExudateCase]:
    """Return the images with exudates, sorted by patient and name, and after them those without if `healthy`.

    Raises:
        InvalidInput: no images, or one without its annotation.
    """
    base = _base(root)
    cases: list[ExudateCase] = []
    for name, path in _of_patients(base / "EX").items():
        mask = _annotation(base / "Annotation_EX", path)
        if mask is None:
            raise InvalidInput(
                path,
                got="no annotation",
                expected=f"{base.name}/Annotation_EX/{path.parent.name}/{path.stem}_EX.png",
                fix="unpack the data set again",
            )
        cases.append(ExudateCase(name, path, (mask,), picture_mask))
    if not cases:
        raise InvalidInput(base / "EX", got="no images", expected="a folder a patient", fix="unpack the data set again")
    if healthy:
        cases += [ExudateCase(name, path, (), picture_mask) for name, path in _of_patients(base / "healthy").items()]
    return cases


def _of_patients(folder: Path) -> dict[str, Path]:
    patients = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return {f"{one.name}_{stem}": path for one in patients for stem, path in images_in(one).items()}


def _annotation(folder: Path, image: Path) -> Path | None:
    masks = images_in(folder / image.parent.name)
    return masks.get(f"{image.stem}_EX", masks.get(image.stem))


def _base(root: Path) -> Path:
    inner = root / "e_optha_EX"
    return inner if inner.is_dir() else root
