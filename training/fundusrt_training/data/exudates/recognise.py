"""Which data set is it? By the folders' names alone; several that fit, or none, is an error."""

from __future__ import annotations

from pathlib import Path

from fundusrt.errors import InvalidInput
from fundusrt_training.data.exudates import eophtha, hei_med, idrid, lesion_folder
from fundusrt_training.data.exudates.case import ExudateCase, Part

__all__ = ["read_exudates"]

_LAYOUTS = (
    (idrid.is_idrid, idrid.LAYOUT),
    (eophtha.is_eophtha, eophtha.LAYOUT),
    (hei_med.is_hei_med, hei_med.LAYOUT),
    (lesion_folder.is_lesion_folder, lesion_folder.LAYOUT),
)


def read_exudates(root: Path, part: Part = "train") -> list[ExudateCase]:
    """Return the cases of a data folder, whichever of the known layouts it has, sorted by name.

    Args:
        root: the folder.
        part: of a data set with an official split (IDRiD); a plain folder may have `train/` and `test/` inside. Other
            data sets are returned whole.

    Raises:
        InvalidInput: no layout fits, or the data are incomplete.
    """
    if (root / part).is_dir():
        root = root / part
    fits = [layout for recognises, layout in _LAYOUTS if recognises(root)]
    if len(fits) != 1:
        inside = sorted(path.name for path in root.iterdir())[:5] if root.is_dir() else []
        raise InvalidInput(
            root,
            got=" and ".join(fits) if fits else ", ".join(inside) or "nothing there",
            expected="one of " + "; ".join(layout for _, layout in _LAYOUTS),
            fix="name the folder that holds these",
        )
    if idrid.is_idrid(root):
        return idrid.read_idrid(root, part)
    if eophtha.is_eophtha(root):
        return eophtha.read_eophtha(root)
    if hei_med.is_hei_med(root):
        return hei_med.read_hei_med(root)
    return lesion_folder.read_lesion_folder(root)
