"""What `fundusrt degrade` wrote, as test data: each degraded photograph with the good one and its field of view."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput
from fundusrt.image import read_image
from fundusrt_training.data.degradation.cli import FORMAT
from fundusrt_training.data.folder import read_mask

__all__ = ["DegradedCase", "read_degraded"]

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DegradedCase:
    """The files of one degraded photograph; `name` is its own, several share one good photograph."""

    name: str
    degraded: Path
    clean: Path
    fov: Path

    def read(self) -> tuple[Bytes, Bytes, npt.NDArray[np.bool_]]:
        """Return the degraded and the good photograph, (H, W, 3) RGB uint8, and the field of view (H, W) bool.

        Raises:
            InvalidInput: files that cannot be read, or of different sizes.
        """
        bad, good = read_image(self.degraded).pixels, read_image(self.clean).pixels
        for path, pixels in ((self.degraded, bad), (self.clean, good)):
            if pixels.ndim != 3 or pixels.dtype != np.uint8 or pixels.shape != good.shape:
                raise InvalidInput(
                    path,
                    got=f"shape {pixels.shape}, {pixels.dtype}",
                    expected=f"{good.shape[:2]} px in 8-bit colour, as its partner",
                    fix="run `fundusrt degrade` again",
                )
        return (
            np.asarray(bad, np.uint8),
            np.asarray(good, np.uint8),
            read_mask(self.fov, (good.shape[0], good.shape[1])),
        )


def read_degraded(root: Path) -> list[DegradedCase]:
    """Return the degraded photographs of a folder, sorted by name.

    Raises:
        InvalidInput: not written by `fundusrt degrade`, or files that are missing.
    """
    index = root / "index.json"
    try:
        document: Any = json.loads(index.read_text())
    except (OSError, ValueError) as error:
        raise _not_degraded(index, str(error)) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _not_degraded(index, f"format {document.get('format')!r}" if isinstance(document, dict) else "no object")
    cases = [_case(root, entry["name"], i) for entry in document["images"] for i in range(len(entry["degradations"]))]
    if not cases:
        raise _not_degraded(index, "no images")
    return sorted(cases, key=lambda case: case.name)


def _case(root: Path, name: str, variant: int) -> DegradedCase:
    degraded = root / "degraded" / f"{name}_{variant}.png"
    clean, fov = (root / part / f"{name}.png" for part in ("clean", "fov"))
    for path in (degraded, clean, fov):
        if not path.is_file():
            raise InvalidInput(
                path, got="no such file", expected="what index.json lists", fix="run `fundusrt degrade` again"
            )
    return DegradedCase(degraded.stem, degraded, clean, fov)


def _not_degraded(index: Path, got: str) -> InvalidInput:
    return InvalidInput(
        index,
        got=got,
        expected=f"the index of {FORMAT}, with images",
        fix="make test data with `fundusrt degrade PHOTOGRAPHS -o FOLDER`",
    )
