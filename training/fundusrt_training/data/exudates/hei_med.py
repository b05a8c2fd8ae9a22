"""HEI-MED as distributed (Giancardo et al. 2012): 169 images, each bright lesion a numbered region with a name.

    DMED/(00000003).jpg      DMED/(00000003).map.gz      DMED/(00000003).GND

The map is three little-endian int32 (the second is the width, the third the height) and then one int32 a pixel in
reading order: the number of its region, 0 for none. The text file names region 1, 2, ... in this order ("Exudate 1").
An image without a map has no marked lesion; exudates hard and soft are not told apart.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from fundusrt.errors import InvalidInput
from fundusrt_training.data.exudates.case import ExudateCase, Mask, images_in

__all__ = ["LAYOUT", "is_hei_med", "read_hei_med"]

LAYOUT = "`*.GND` beside `*.map.gz` (HEI-MED)"

_VERSION = "GNDVERSION"


def is_hei_med(root: Path) -> bool:
    """Return whether a folder is laid out so."""
    base = _base(root)
    return any(base.glob("*.GND")) or any(base.glob("*.map.gz"))


def read_hei_med(root: Path) -> list[ExudateCase]:
    """Return all cases, sorted by name.

    Raises:
        InvalidInput: a map without the names of its regions, or the reverse.
    """
    base = _base(root)
    cases: list[ExudateCase] = []
    for stem, image in images_in(base).items():
        if stem.endswith("_vess"):
            continue  # vessels found by a program
        regions, names = base / f"{stem}.map.gz", base / f"{stem}.GND"
        if regions.exists() and not names.exists():
            raise InvalidInput(
                regions, got="no text file beside it", expected=names.name, fix="copy the data set again"
            )
        annotation = (regions, names) if regions.exists() else ()
        cases.append(ExudateCase(stem.strip("()"), image, annotation, _exudates))
    if not cases:
        raise InvalidInput(base, got="no images", expected="(00000003).jpg and so on", fix="copy the data set again")
    return cases


def _exudates(files: tuple[Path, ...], size: tuple[int, int]) -> Mask:
    regions, names = files
    kinds = _names(names)
    labels = _labels(regions)
    if labels.size and int(labels.max()) > len(kinds):
        raise InvalidInput(
            regions,
            got=f"region {int(labels.max())}",
            expected=f"at most {len(kinds)}, the number {names.name} has",
            fix="copy the data set again",
        )
    del size  # `ExudateCase.mask` compares
    chosen = np.array([False, *("exudate" in kind.lower() for kind in kinds)])
    return chosen[labels]


def _labels(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Return the region of each pixel, (H, W) int32."""
    try:
        values = np.frombuffer(gzip.decompress(path.read_bytes()), "<i4")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InvalidInput(
            path, got=str(error), expected="a gzip file of int32", fix="copy the data set again"
        ) from error
    width, height = (int(values[1]), int(values[2])) if len(values) >= 3 else (0, 0)
    if width < 1 or height < 1 or len(values) != 3 + width * height or int(values[3:].min()) < 0:
        raise InvalidInput(
            path,
            got=f"{len(values)} numbers for {width} x {height} px",
            expected="three numbers and one for each pixel, none below 0",
            fix="copy the data set again",
        )
    return values[3:].reshape(height, width).astype(np.int32)


def _names(path: Path) -> list[str]:
    """Return the names of the regions."""
    lines = path.read_text(encoding="latin-1").splitlines()
    if lines and lines[0].startswith(_VERSION):
        lines = lines[1:]
    try:
        count = int(lines[0])
    except (IndexError, ValueError):
        count = -1
    if not 0 <= count < len(lines):
        raise InvalidInput(
            path,
            got=f"{lines[0]!r} and {len(lines) - 1} lines" if lines else "an empty file",
            expected="the number of regions, then a line for each",
            fix="copy the data set again",
        )
    return lines[1 : 1 + count]


def _base(root: Path) -> Path:
    inner = root / "DMED"
    return inner if inner.is_dir() else root
