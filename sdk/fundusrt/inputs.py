"""Which files a list of paths, folders and globs means."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from fundusrt.errors import InvalidInput, UsageError

__all__ = ["IMAGE_SUFFIXES", "collect_images"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def collect_images(inputs: Sequence[str]) -> tuple[list[Path], list[InvalidInput]]:
    """Expand the inputs of a batch, in the order given, each file once.

    A folder stands for the image files directly inside it, by name. A file is taken whatever its ending; whether it is an
    image is decided when it is read.

    Args:
        inputs: files, folders, or glob patterns that the shell left alone.

    Returns:
        The files, and an error for each input that stands for none.

    Raises:
        UsageError: two files would write results of the same name.
    """
    files: list[Path] = []
    errors: list[InvalidInput] = []
    for entry in inputs:
        found = _expand(entry)
        if isinstance(found, InvalidInput):
            errors.append(found)
        else:
            files.extend(path for path in found if path not in files)
    _refuse_same_names(files)
    return files, errors


def _expand(entry: str) -> list[Path] | InvalidInput:
    path = Path(entry)
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
        if inside:
            return inside
        return InvalidInput(
            path, got="a folder without images", expected=f"files ending in {', '.join(IMAGE_SUFFIXES)}", fix="name files"
        )
    if path.exists() or path.is_symlink() or not glob.has_magic(entry):
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(entry, recursive=True)) if Path(match).is_file()]
    return matches or InvalidInput(entry, got="a pattern that matches no file", expected="at least one file")


def _refuse_same_names(files: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for file in files:
        other = seen.setdefault(file.stem.casefold(), file)
        if other is not file:
            raise UsageError(
                f"{other} and {file}",
                got="the same result name",
                expected="a different file name for each input of one run",
                fix="run them into separate output folders",
            )
