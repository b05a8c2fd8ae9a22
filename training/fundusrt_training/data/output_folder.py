"""The folder a generator of images writes: new, with its parts made before any work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fundusrt.errors import OutputError, UsageError

__all__ = ["make_output_folder"]


def make_output_folder(out: Path, parts: Sequence[str]) -> None:
    """Make `out` and its sub-folders.

    Args:
        out: must be absent or empty; empty sub-folders are taken as they are.
        parts: names of the sub-folders.

    Raises:
        UsageError: it holds a file.
        OutputError: the disk refuses.
    """
    held = next((path for path in out.rglob("*") if not path.is_dir()), None)
    if held is not None:
        raise UsageError(
            out,
            got=f"a folder that already holds {held.relative_to(out)}",
            expected="a new folder",
            fix="remove it, or choose another",
        )
    try:
        for part in parts:
            (out / part).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            out, got=error.strerror, expected="a folder that can be written", fix="choose another place with -o"
        ) from error
