"""Arrays on the device: an address with a shape and an element type. They own nothing; a lane does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["DeviceArray"]


@dataclass(frozen=True)
class DeviceArray:
    """A contiguous, row-major array in the GPU's memory.

    Attributes:
        address: of its first byte, on the device.
        shape: as of a NumPy array.
        dtype: its element type.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.size * self.dtype.itemsize

    def __getitem__(self, index: int) -> DeviceArray:
        """Return one element of the first axis."""
        if not 0 <= index < self.shape[0]:
            raise IndexError(index)
        rest = self.shape[1:]
        return DeviceArray(self.address + index * math.prod(rest) * self.dtype.itemsize, rest, self.dtype)

    def first(self, count: int) -> DeviceArray:
        """Return the first `count` elements of the first axis."""
        if not 0 <= count <= self.shape[0]:
            raise IndexError(count)
        return DeviceArray(self.address, (count, *self.shape[1:]), self.dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """So that PyTorch, CuPy and Numba can look at it without a copy."""
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
        }
