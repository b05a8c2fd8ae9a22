"""Kernel timings kept between builds of the classic TensorRT, so that the second build takes seconds.

They are a convenience: a file that cannot be used or written is a warning and never costs a plan. TensorRT reads them
in native code, so it is given only what this cache wrote. TensorRT-RTX times nothing when it builds.
"""

from __future__ import annotations

import warnings
from typing import Any

from fundusrt.engine_folder import file_lock
from fundusrt.errors import EngineMismatch
from fundusrt.sealed_file import SealedFile

__all__ = ["attach_timing_cache", "store_timing_cache"]


def attach_timing_cache(config: Any, file: SealedFile) -> bool:
    """Give the timings in a file to a build; a missing file, or one of another version or GPU, is an empty start.

    So is a file that the cache did not write or that was changed, with a `RuntimeWarning` that says so.

    Returns:
        Whether the timings in the file are used.
    """
    try:
        content = file.read()
    except EngineMismatch as error:
        _warn(f"kernel timings are taken anew: {error}")
        content = None
    if content:
        known = config.create_timing_cache(content)
        if known is not None and config.set_timing_cache(known, ignore_mismatch=False):
            return True
    config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    return False


def store_timing_cache(config: Any, file: SealedFile) -> None:
    """Write the timings of a build, joined with what another build has written meanwhile.

    A failure is a `RuntimeWarning` with the reason: the plan is finished, and must not be lost with its timings.
    """
    try:
        _store(config, file)
    except Exception as error:  # of the disk, of the lock or of TensorRT
        _warn(f"kernel timings are not kept for the next build: {error}")


def _store(config: Any, file: SealedFile) -> None:
    timings = config.get_timing_cache()
    with file_lock(file.path.with_suffix(".lock")):
        try:
            content = file.read()
        except EngineMismatch:
            content = None  # said when the build began; it is replaced now
        others = config.create_timing_cache(content) if content else None
        if others is not None:
            timings.combine(others, ignore_mismatch=False)
        file.write(bytes(timings.serialize()))


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=4)
