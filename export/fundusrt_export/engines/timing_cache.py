"""Kernel timings kept between builds of the classic TensorRT, so that the second build takes seconds.

TensorRT-RTX times nothing when it builds and has no use for one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fundusrt.atomic import write_bytes
from fundusrt.engine_folder import file_lock

__all__ = ["attach_timing_cache", "store_timing_cache"]


def attach_timing_cache(config: Any, path: Path) -> bool:
    """Give the timings in a file to a build; a missing file, or one of another version or GPU, is an empty start.

    Returns:
        Whether the timings in the file are used.
    """
    content = path.read_bytes() if path.is_file() else b""
    if content:
        known = config.create_timing_cache(content)
        if known is not None and config.set_timing_cache(known, ignore_mismatch=False):
            return True
    config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    return False


def store_timing_cache(config: Any, path: Path) -> None:
    """Write the timings of a build, joined with what another build has written meanwhile.

    Raises:
        OutputError: the file cannot be written.
    """
    timings = config.get_timing_cache()
    with file_lock(path.with_suffix(".lock")):
        if path.is_file():
            others = config.create_timing_cache(path.read_bytes())
            if others is not None:
                timings.combine(others, ignore_mismatch=False)
        write_bytes(path, bytes(timings.serialize()))
