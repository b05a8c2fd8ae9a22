"""The NVIDIA driver, asked directly: whether it is there and which GPUs it offers.

TensorRT's runtimes may crash the process where there is no driver, so nothing of theirs is called before this has
answered. Only the driver's own library is loaded, no CUDA toolkit.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any

__all__ = ["Driver", "Gpu", "driver_library", "probe_driver"]

# CUdevice_attribute of cuda.h
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: as the driver says it.
        capability: compute capability, `sm89` for 8.9.
    """

    name: str
    capability: str


@dataclass(frozen=True)
class Driver:
    """What the driver answered.

    Attributes:
        problem: why no GPU can be used; None where one can.
        gpus: the visible GPUs, in the driver's order.
    """

    problem: str | None
    gpus: tuple[Gpu, ...] = ()


def driver_library() -> Any:
    """Return the driver's library, whose functions return 0 where all is well.

    Raises:
        OSError: it is not there.
    """
    return ctypes.CDLL("libcuda.so.1" if os.name != "nt" else "nvcuda.dll")


def probe_driver() -> Driver:
    """Load the driver's library, initialise it and list the GPUs; nothing is raised and no context is made."""
    try:
        library = driver_library()
        status = int(library.cuInit(0))
    except (OSError, AttributeError):
        return Driver("not found")
    if status != 0:
        return Driver(f"cuInit returned {status}")
    count = ctypes.c_int()
    if library.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value < 1:
        return Driver("present, but it offers no GPU")
    gpus = tuple(_gpu(library, index) for index in range(count.value))
    return Driver(None, gpus)


def _gpu(library: ctypes.CDLL, index: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, _NAME_BYTES, device)
    library.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device)
    return Gpu(name.value.decode("utf-8", "replace"), f"sm{major.value}{minor.value}")
