"""Which files a list of paths, folders and globs means."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from fundusrt.errors import InvalidInput, UsageError
from fundusrt.result_files import result_paths

__all__ = ["IMAGE_SUFFIXES", "collect_images", "refuse_overwritten_inputs"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def collect_images(inputs: Sequence[str]) -> tuple[list[Path], list[InvalidInput]]:
    """Expand the inputs of a batch, in the order given, each file once.

    A folder stands for the image files directly inside it, by name. A file is taken whatever its ending; whether it is
    an image is decided when it is read.

    Args:
        inputs: files, folders, or glob patterns that the shell left alone.

    Returns:
        The files, and an error for each input that stands for none.

    Raises:
        UsageError: two files would write results of the same name.
    """
    files: dict[str, Path] = {}
    errors: list[InvalidInput] = []
    for entry in inputs:
        try:
            found = _expand(entry)
        except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be read
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            found = InvalidInput(entry, got=reason, expected="a file, a folder or a pattern", fix="check the path")
        if isinstance(found, InvalidInput):
            errors.append(found)
        else:
            for path in found:
                files.setdefault(os.path.abspath(path), path)
    _refuse_same_names(list(files.values()))
    return list(files.values()), errors


def refuse_overwritten_inputs(files: Sequence[Path], out: Path, pictures: tuple[str, ...]) -> None:
    """Raise if a result would take the place of an input.

    Args:
        files: what `collect_images` returned.
        out: the folder for the results.
        pictures: kinds of pictures a result is saved as (`Result.PICTURES`).

    Raises:
        UsageError: naming the input and the result.
    """
    inputs = {os.path.realpath(file): file for file in files}
    for file in files:
        for path in result_paths(pictures, out, file.stem).values():
            if (lost := inputs.get(os.path.realpath(path))) is not None:
                raise UsageError(
                    f"{lost}",
                    got=f"an input that the result of {file.name} would replace",
                    expected="results beside the inputs to have other names",
                    fix="choose another output folder",
                )


def _expand(entry: str) -> list[Path] | InvalidInput:
    path = Path(entry)
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
        if inside:
            return inside
        return InvalidInput(
            path,
            got="a folder without images",
            expected=f"files ending in {', '.join(IMAGE_SUFFIXES)}",
            fix="name the files themselves if they end otherwise",
        )
    if path.exists() or path.is_symlink() or not glob.has_magic(entry):
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(entry, recursive=True)) if Path(match).is_file()]
    return matches or InvalidInput(
        entry,
        got="a pattern that matches no file",
        expected="at least one file",
        fix="check the pattern and the folder",
    )


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
