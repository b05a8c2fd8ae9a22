"""The kernels compiled by g++ and run on NumPy arrays, one `Launch` at a time."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from fundusrt.kernels.launch import Launch

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "sdk" / "fundusrt" / "kernels"

# As the GPU build: no fused multiplication and addition but the written ones. Vectors are stored through wider types.
FLAGS = ("-std=c++17", "-O2", "-ffp-contract=off", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Werror",
         "-Wno-unknown-pragmas", "-fPIC", "-shared")  # fmt: skip

_KINDS = {"f": "f", "i": "i", "u": "u"}


class HostKernels:
    """Runs launches whose addresses are those of NumPy arrays."""

    def __init__(self, library: Path) -> None:
        self._launch = ctypes.CDLL(str(library)).host_launch
        self._launch.restype = ctypes.c_int

    def run(self, launches: Launch | Iterable[Launch]) -> None:
        """Run each launch to its end; an argument that does not fit the kernel's signature is an error."""
        for launch in [launches] if isinstance(launches, Launch) else launches:
            values = [np.asarray(value).reshape(1) for value in launch.arguments]
            count = len(values)
            pointers = (ctypes.c_void_p * count)(*(value.ctypes.data for value in values))
            sizes = (ctypes.c_int * count)(*(value.itemsize for value in values))
            # uint64 is used for addresses alone.
            kinds = "".join("p" if value.dtype == np.uint64 else value.dtype.kind for value in values)
            grid, block = (ctypes.c_uint * 3)(*launch.grid), (ctypes.c_uint * 3)(*launch.block)
            result = self._launch(launch.kernel.encode(), grid, block, pointers, sizes, kinds.encode(), count)
            assert result == 0, f"{launch.kernel}: {_meaning(result)}"


def _meaning(result: int) -> str:
    meanings = {1: "no such kernel", 2: "wrong number of arguments", 3: "its threads wait for each other for ever"}
    return meanings.get(result, f"argument {result - 100} has another size or kind")


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


def needs_compiler() -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed: kernels are not run on the CPU")
