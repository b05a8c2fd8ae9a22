"""The kernels compiled by g++ and run on NumPy arrays, one `Launch` at a time."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fundusrt.kernels.launch import Launch

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "sdk" / "fundusrt" / "kernels"

# As the GPU build: no fused multiplication and addition but the written ones. Vectors are stored through wider types.
FLAGS = ("-std=c++17", "-O2", "-ffp-contract=off", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Werror",
         "-Wno-unknown-pragmas", "-fPIC", "-shared")  # fmt: skip

_ALIGNMENT = 64
_GUARD_BYTES = 64
_GUARD = 0xA5

Block = tuple[int, int, int]


class HostKernels:
    """Runs launches whose addresses are those of NumPy arrays."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._launch = self._library.host_launch
        self._launch.restype = ctypes.c_int

    def set_backwards(self, backwards: bool) -> None:
        """Run blocks, and the threads of each, from the last to the first."""
        self._library.host_backwards(int(backwards))

    def run(self, launches: Launch | Iterable[Launch], only: tuple[Block, Block] | None = None) -> None:
        """Run each launch to its end; an argument that does not fit the kernel's signature is an error.

        `only`: first and, half open, last block, to run a part of the grid.
        """
        for launch in [launches] if isinstance(launches, Launch) else launches:
            values = [np.asarray(value).reshape(1) for value in launch.arguments]
            count = len(values)
            first, last = only if only is not None else ((0, 0, 0), launch.grid)
            result = self._launch(
                launch.kernel.encode(),
                _three(launch.grid),
                _three(first),
                _three(last),
                _three(launch.block),
                (ctypes.c_void_p * count)(*(value.ctypes.data for value in values)),
                (ctypes.c_int * count)(*(value.itemsize for value in values)),
                # uint64 is used for addresses alone.
                "".join("p" if value.dtype == np.uint64 else value.dtype.kind for value in values).encode(),
                count,
            )
            assert result == 0, f"{launch.kernel}: {_meaning(result)}"


class HostMemory:
    """Arrays as a device has them: aligned, filled with rubbish, and checked for writes beyond their ends."""

    def __init__(self) -> None:
        self._kept: list[tuple[np.ndarray, int, int]] = []

    def copy(self, array: np.ndarray) -> int:
        """Return the address of a copy."""
        made = self.empty(array.shape, array.dtype)
        made[...] = array
        return address(made)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an array whose content is rubbish, with guards before and behind it."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        whole = np.full(size + 2 * _GUARD_BYTES + _ALIGNMENT, _GUARD, np.uint8)
        start = _GUARD_BYTES + -(whole.ctypes.data + _GUARD_BYTES) % _ALIGNMENT
        self._kept.append((whole, start, start + size))
        return whole[start : start + size].view(dtype).reshape(shape)

    def check(self) -> None:
        """Fail if anything was written beside an array."""
        for whole, start, stop in self._kept:
            assert (whole[:start] == _GUARD).all(), "written before the beginning of an array"
            assert (whole[stop:] == _GUARD).all(), "written behind the end of an array"


def compile_for_host(folder: Path, flags: tuple[str, ...] = FLAGS) -> Path:
    """Return the shared library of all kernels, built in a folder."""
    library = folder / "kernels.so"
    command = ["g++", *flags, "-I", str(SOURCES), str(HERE / "host_kernels.cpp"), "-o", str(library)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return library


def address(array: np.ndarray | None) -> int:
    """Return where an array lies; 0 for none."""
    if array is None:
        return 0
    assert array.flags.c_contiguous
    return array.ctypes.data


def _three(numbers: Block) -> Any:
    return (ctypes.c_uint * 3)(*numbers)


def _meaning(result: int) -> str:
    meanings = {1: "no such kernel", 2: "wrong number of arguments", 3: "its threads wait for each other for ever"}
    return meanings.get(result, f"argument {result - 100} has another size or kind")
