"""Files to a bundle on disk: a folder, or one `.frt` zip; whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Generator, Mapping
from pathlib import Path

from fundusrt.atomic import atomic_write
from fundusrt.bundle import MANIFEST_FILE
from fundusrt.errors import OutputError

__all__ = ["check_target", "staged_bundle"]

# The earliest date a zip can hold; a bundle has no date, so that equal content gives equal bytes.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse, before any work, a target that could not be written in the end.

    Raises:
        OutputError: it exists and `overwrite` is false, is no bundle, or its parent folder is missing.
    """
    if not out.parent.is_dir():
        raise OutputError(out, got=f"no folder {out.parent}", expected="an existing folder", fix="create it first")
    if not out.exists():
        return
    if not overwrite:
        raise OutputError(
            out, got="it exists already", expected="a new name", fix="choose another, or pass --overwrite"
        )
    is_bundle = out.is_file() if out.suffix == ".frt" else (out / MANIFEST_FILE).is_file()
    if not is_bundle:
        raise OutputError(
            out, got="something that is no bundle", expected="a bundle to replace", fix="choose another name"
        )


@contextlib.contextmanager
def staged_bundle(out: Path, files: Mapping[str, bytes]) -> Generator[Path]:
    """Write the files beside `out`, yield the staged bundle for a last check, then put it in place.

    Args:
        out: `NAME.frt` for one file, anything else for a folder; an existing one is replaced.
        files: content by name.

    Raises:
        OutputError: the disk refuses. Then, and when the block raises, `out` is as it was.
    """
    if out.suffix == ".frt":
        with atomic_write(out) as temporary:
            _write_zip(temporary, files)
            yield temporary
        return
    staged = out.parent / f".{out.name}.{secrets.token_hex(4)}.part"
    try:
        _write_folder(staged, files)
        yield staged
        _put_in_place(staged, out)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            out, got=error.strerror or str(error), expected="a writable folder", fix="choose another place with -o"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _NO_DATE)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _put_in_place(staged: Path, out: Path) -> None:
    """Folders cannot replace one another in one step: the old one steps aside, and comes back if the new one fails."""
    if not out.exists():
        os.rename(staged, out)
        return
    aside = staged.with_suffix(".old")
    os.rename(out, aside)
    try:
        os.rename(staged, out)
    except OSError:
        os.rename(aside, out)
        raise
    shutil.rmtree(aside)
