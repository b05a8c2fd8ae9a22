"""The folder of the engine cache: where it is, that nobody else can write or read it, and the key that lies in it.

A plan is code of this machine: loading one runs it. Whoever can write the folder can run programs as its owner.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Generator
from pathlib import Path

from fundusrt.atomic import atomic_write
from fundusrt.errors import BackendUnavailable

__all__ = ["ENVIRONMENT_VARIABLE", "cache_secret", "default_engine_folder", "file_lock", "private_folder"]

ENVIRONMENT_VARIABLE = "FUNDUSRT_CACHE"
_SECRET_FILE = "key"
_SECRET_BYTES = 32
_OTHERS = 0o077


def default_engine_folder() -> Path:
    """Return `engines` in `$FUNDUSRT_CACHE`, or in `fundusrt` in the platform's cache folder of this user.

    That is `$XDG_CACHE_HOME` or `~/.cache`, and `%LOCALAPPDATA%` on Windows. The path is absolute.

    Raises:
        BackendUnavailable: none of these is set and the user has no home folder, as in a container.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named).absolute() / "engines"
    caches = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(caches).absolute() if caches else _home() / ".cache") / "fundusrt" / "engines"


def private_folder(path: Path) -> Path:
    """Make the folder if it is missing, and refuse it unless it belongs to this user alone.

    On Windows the rights are those the folder inherits from the user's profile, and are not looked at.

    Raises:
        BackendUnavailable: a link, no folder, another owner, open to the group or to all, or it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
    except OSError as error:
        raise _refused(path, error.strerror or str(error), "check the path, or name another with --cache") from error
    if stat.S_ISLNK(status.st_mode):
        raise _refused(path, "a symbolic link", "name the folder itself, with --cache or FUNDUSRT_CACHE")
    if not stat.S_ISDIR(status.st_mode):
        raise _refused(path, "no folder", "name another with --cache or FUNDUSRT_CACHE")
    _require_private(path, status)
    return path


def cache_secret(folder: Path) -> bytes:
    """Return the folder's key, made when it is first asked for.

    Raises:
        BackendUnavailable: the key's file is a link, is open to others, or is no key.
    """
    path = folder / _SECRET_FILE
    if not os.path.lexists(path):
        with file_lock(folder / f"{_SECRET_FILE}.lock"):
            if not os.path.lexists(path):
                with atomic_write(path) as temporary:
                    temporary.chmod(0o600)
                    temporary.write_bytes(secrets.token_bytes(_SECRET_BYTES))
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "a link or no file", f"delete {path} and build the engines again")
    _require_private(path, status)
    content = path.read_bytes()
    if len(content) != _SECRET_BYTES:
        raise _refused(path, f"{len(content)} bytes", f"delete {path} and build the engines again")
    return content


@contextlib.contextmanager
def file_lock(path: Path) -> Generator[None]:
    """Hold a lock between processes; the system frees it when its holder dies.

    Raises:
        BackendUnavailable: the file system has no such locks.
    """
    from filelock import FileLock, SoftFileLock

    lock = FileLock(path, mode=0o600)
    with lock:
        if isinstance(lock, SoftFileLock):  # pyright: ignore[reportUnnecessaryIsInstance]
            # filelock changes itself into one where flock is missing, and that one outlives a killed process.
            raise _refused(path.parent, "a file system without file locks", "name a local folder with --cache")
        yield


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:  # neither $HOME nor an entry for this user in the system's list
        raise BackendUnavailable(
            "engine cache",
            got="a user without a home folder",
            expected="a folder to keep engines in",
            fix=f"set {ENVIRONMENT_VARIABLE}",
        ) from error


def _require_private(path: Path, status: os.stat_result) -> None:
    if os.name != "posix":
        return
    if status.st_uid != os.geteuid():
        raise _refused(
            path, f"owned by user {status.st_uid}", "name a folder of your own with --cache or FUNDUSRT_CACHE"
        )
    if status.st_mode & _OTHERS:
        bits = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise _refused(
            path,
            f"mode {stat.S_IMODE(status.st_mode):o}, open to others",
            f"look at what is in it; if it is yours, chmod {bits} {path}",
        )


def _refused(path: Path, got: str, fix: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"engine cache {path}", got=got, expected="a folder that belongs to this user alone", fix=fix
    )
