"""Arrays that are made once and kept in the cache folder, each in a file named by what it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt import __version__
from fundusrt.atomic import atomic_write
from fundusrt.errors import OutputError

__all__ = ["cached_array"]


def cached_array(cache: Path, identity: Any, make: Callable[[], npt.NDArray[np.uint8]]) -> Path:
    """Return the file of an array; it is made where the cache does not hold it.

    Args:
        cache: folder of the cache.
        identity: JSON data that decide the array's content: hashes of sources, sizes, and a number that its maker
            raises when the same sources give something else.
        make: returns the array.

    Raises:
        OutputError: the cache cannot be written.
    """
    facts = [identity, __version__, cv2.__version__]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    file = cache / key[:2] / f"{key}.npy"
    if not file.is_file():
        array = make()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                file.parent,
                got=error.strerror or str(error),
                expected="a cache folder that can be written",
                fix="choose another folder with --cache or FUNDUSRT_CACHE",
            ) from error
        with atomic_write(file) as temporary, temporary.open("wb") as stream:
            np.save(stream, array)
    return file
