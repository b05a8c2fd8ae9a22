"""One kernel launch as data: name, grid, block, typed arguments. Nothing here needs a GPU.

Python code on the device and the tests on the CPU run the same `Launch` objects, so that what is tested is what runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["MOST_BLOCKS_Y", "THREADS", "Launch", "blocks", "f4", "i4", "i8", "pointer"]

THREADS = 256
"""Threads of a block where a kernel does not say otherwise; the kernels' launch bound."""

MOST_BLOCKS_Y = 65535
"""Blocks that CUDA allows in y and z."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel ready to run on any stream.

    Attributes:
        kernel: its `extern "C"` name in the module.
        grid: blocks in x, y, z.
        block: threads in x, y, z.
        arguments: in the kernel's order: uint64 for a pointer (0: none), int64, int32 or float32, each aligned to its
            own size as in a C struct.
        bytes_moved: bytes it must read and write once, whatever is cached: what its speed is measured by.
    """

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple[np.generic, ...]
    bytes_moved: int


def blocks(count: int, per_block: int = THREADS) -> int:
    """Return how many blocks cover `count` items, at least one."""
    return max(1, math.ceil(count / per_block))


def pointer(address: int) -> np.uint64:
    """Return a device address as a kernel takes it; 0 is none."""
    return np.uint64(address)


def i8(value: int) -> np.int64:
    """Return an `int64_t` argument."""
    return np.int64(value)


def i4(value: int) -> np.int32:
    """Return an `int32_t` argument."""
    return np.int32(value)


def f4(value: float) -> np.float32:
    """Return a `float` argument, rounded as NumPy rounds."""
    return np.float32(value)
