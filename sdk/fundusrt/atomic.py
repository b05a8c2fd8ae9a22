"""Write a file completely or not at all.

A reader, or a device that loses power, sees the old content or the new content and never a part of it:
the bytes go to a temporary file in the same folder, are forced to the disk (fsync), take the place of
the target in one step (``os.replace``), and the folder entry is forced to the disk as well.

Symbolic links: when the target is a link, the file it points to is replaced and the link stays a link,
as an ordinary ``open(path, "w")`` would do. A link that points nowhere creates the file it names.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from collections.abc import Generator
from pathlib import Path

from fundusrt.errors import OutputError

__all__ = ["atomic_write", "write_bytes", "write_json"]

_FIXES = {
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "create the folder first",
    errno.EACCES: "choose a folder you may write to, or change its permissions",
    errno.EPERM: "choose a folder you may write to, or change its permissions",
    errno.EROFS: "choose a folder on a disk that is not read-only",
    errno.ENOSPC: "free some space or choose another disk",
    errno.EDQUOT: "free some space or choose another disk",
    errno.EISDIR: "choose a file name; a folder has this name",
    errno.ENAMETOOLONG: "choose a shorter file name",
}

_UNSUPPORTED_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Generator[Path]:
    """Replace a file in one step when the block ends well; leave it untouched when the block fails.

    Args:
        path: the file to write. Its folder must exist. An existing file keeps its permission bits.

    Yields:
        An empty temporary file in the same folder and with the same ending, for the block to fill (it may
        also be rewritten or replaced by the block).

    Raises:
        OutputError: the folder is missing or read-only, the disk is full, the target is a folder, or any
            other ``OSError`` from the block or from the replacement. Other exceptions of the block pass
            through. In every case the temporary file is removed and the previous content stays.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> with atomic_write(Path(folder.name) / "note.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> (Path(folder.name) / "note.txt").read_text()
        'whole'
        >>> folder.cleanup()
    """
    subject = os.fspath(path)
    temporary: Path | None = None
    try:
        target = _target(Path(path))
        temporary = _create_beside(target)
        yield temporary
        _sync(temporary)
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
        temporary = None
        _sync_folder(target.parent)
    except OutputError:
        raise  # an inner file's error already says which file it was
    except OSError as error:
        raise _output_error(subject, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write_bytes(path: str | os.PathLike[str], data: bytes | bytearray | memoryview) -> None:
    """Write bytes to a file, completely or not at all.

    Args:
        path: the file to write; its folder must exist.
        data: the whole content.

    Raises:
        OutputError: see `atomic_write`.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(data)


def write_json(path: str | os.PathLike[str], obj: object) -> None:
    """Write an object as UTF-8 JSON with two-space indentation and a final newline, completely or not at all.

    The key order is the object's own. NaN and infinities are refused: JSON has no such values, and readers
    in other languages stop at them.

    Args:
        path: the file to write; its folder must exist.
        obj: dicts, lists, strings, finite numbers, booleans and None.

    Raises:
        OutputError: see `atomic_write`, or the object cannot be written as JSON.
    """
    try:
        text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False)
        data = (text + "\n").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(
            os.fspath(path),
            got=f"an object that JSON cannot hold ({error})",
            expected="dicts, lists, strings, finite numbers, booleans and None",
            fix="convert the values first",
        ) from error
    write_bytes(path, data)


def _target(path: Path) -> Path:
    """Return the file to replace: the end of a chain of links, never a folder."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    return target


def _create_beside(target: Path) -> Path:
    """Create an empty file in the target's folder; the same ending lets writers choose the format by name."""
    while True:
        candidate = target.with_name(f".{secrets.token_hex(8)}.tmp{target.suffix}")
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(candidate, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            os.close(descriptor)  # 0o666 less the umask, as `open` does
            return candidate


def _sync(path: Path) -> None:
    """Force a file's content to the disk."""
    descriptor = os.open(path, os.O_RDWR)  # Windows refuses to fsync a read-only descriptor
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, where the system lets a folder be opened and synced."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # a folder may be writable and not readable; the replacement itself has happened
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED_FSYNC:
            raise
    finally:
        os.close(descriptor)


def _output_error(subject: str, error: OSError) -> OutputError:
    """Say which file could not be written, why, and what to do."""
    reason = error.strerror or str(error) or type(error).__name__
    fix = _FIXES.get(error.errno or 0, "check the path and the disk, then try again")
    return OutputError(subject, got=reason, expected="a file that can be written", fix=fix)
