"""Files of the engine cache: read without trust in what lies there, written for the owner alone."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from fundusrt.atomic import atomic_write
from fundusrt.engine_folder import file_lock
from fundusrt.errors import EngineMismatch

__all__ = ["read_private", "refused", "write_private"]

_LOCK_FILE = "write.lock"
_LEFT_OVER = ".*.tmp.*"  # as `atomic_write` names its temporary files


def read_private(path: Path, limit: int, fix: str) -> bytes:
    """Read a regular file of at most `limit` bytes, without following a link.

    Args:
        path: the file.
        limit: the most bytes it may have.
        fix: the command that makes it anew, for the error; may be empty.

    Raises:
        EngineMismatch: missing, a link, no regular file, not readable, or longer.
    """
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # each where the system has it; a pipe must not block
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise refused(path, "no regular file", "a file of this cache", fix)
            content = file.read(limit + 1)
    except OSError as error:
        raise refused(path, error.strerror or str(error), "a file of this cache", fix) from error
    if len(content) > limit:
        raise refused(path, f"more than {limit} bytes", f"at most {limit}", fix)
    return content


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read, and remove what killed writers left in its folder.

    One file of the folder is written at a time, so that a temporary file which is there belongs to nobody.

    Raises:
        OutputError: it cannot be written.
    """
    with file_lock(path.parent / _LOCK_FILE):
        for left_over in path.parent.glob(_LEFT_OVER):
            with contextlib.suppress(OSError):
                left_over.unlink()
        if path.is_symlink():
            path.unlink()  # writing would otherwise go to where it points
        with atomic_write(path) as temporary:
            temporary.chmod(0o600)
            temporary.write_bytes(content)
        path.chmod(0o600)  # an atomic write keeps the mode of the file it replaces


def refused(path: Path, got: str, expected: str, fix: str) -> EngineMismatch:
    """Return the error of a file that is not believed."""
    return EngineMismatch(str(path), got=got, expected=expected, fix=f"run `{fix}`" if fix else None)
