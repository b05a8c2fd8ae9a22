"""What one image uses at a time: a stream, memory that grows and stays, and its bound networks; a bounded pool of them.

Memory is asked for by name and kept for the next image, so nothing is allocated in the steady state, and nothing is
freed while work that uses it may be under way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.driver import CudaDevice
from fundusrt.cuda.kernels import KernelModule
from fundusrt.cuda.transfers import Transfers
from fundusrt.kernels.launches import Launch

__all__ = ["Lane"]

# Host memory is copied to pinned memory in parts, so that a part is on its way while the next one is copied.
_PART_BYTES = 4 * 2**20


class Lane:
    """One stream of one GPU, used by one thread at a time, inside the device's `current`.

    Attributes:
        device: the GPU.
        stream: PyCUDA's stream; everything of the lane is enqueued on it.
        transfers: bytes since `begin`.
    """

    def __init__(self, device: CudaDevice, kernels: KernelModule) -> None:
        self.device = device
        self.stream: Any = device.cuda.Stream()
        self.transfers = Transfers()
        self._kernels = kernels
        self._memory: dict[str, tuple[Any, int]] = {}
        self._pinned: dict[str, npt.NDArray[np.uint8]] = {}
        self._constants: dict[str, tuple[bytes, DeviceArray]] = {}
        self._in_flight: set[str] = set()

    @property
    def handle(self) -> int:
        """The stream's CUstream, for TensorRT, ONNX Runtime and PyTorch."""
        return int(self.stream.handle)

    def begin(self) -> None:
        """Begin an image: the byte counts start at zero."""
        self.transfers = Transfers()

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> DeviceArray:
        """Return device memory under a name, with whatever lies in it; the next array of that name takes its place."""
        kind = np.dtype(dtype)
        nbytes = max(1, math.prod(shape) * kind.itemsize)
        kept = self._memory.get(name)
        if kept is None or kept[1] < nbytes:
            if kept is not None:
                self.synchronize()  # what is under way may still use the smaller one
                del self._memory[name]
                kept[0].free()
            kept = self.device.cuda.mem_alloc(nbytes), nbytes
            self._memory[name] = kept
        return DeviceArray(int(kept[0]), shape, kind)

    def upload(self, name: str, *parts: npt.NDArray[Any]) -> list[DeviceArray]:
        """Copy host arrays to the device, one behind the other in memory of that name; counted as one upload.

        The host arrays may be changed as soon as this returns.
        """
        starts, total = _layout([part.nbytes for part in parts])
        target = self.array(name, (total,), np.uint8)
        pinned = self._pinned_bytes(name, total)
        for start, part in zip(starts, parts, strict=True):
            source = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
            for at in range(0, source.nbytes, _PART_BYTES):
                chunk = source[at : at + _PART_BYTES]
                place = pinned[start + at : start + at + chunk.nbytes]
                np.copyto(place, chunk)
                self.device.cuda.memcpy_htod_async(target.address + start + at, place, self.stream)
        self._in_flight.add(name)
        self.transfers.up(total)
        return [
            DeviceArray(target.address + start, part.shape, part.dtype)
            for start, part in zip(starts, parts, strict=True)
        ]

    def constant(self, name: str, values: npt.NDArray[Any]) -> DeviceArray:
        """Return a small table that is uploaded when it is first asked for and kept; counted with no image."""
        content = values.tobytes()
        kept = self._constants.get(name)
        if kept is None or kept[0] != content:
            table = self.array(f"constant {name}", values.shape, values.dtype)
            pinned = self._pinned_bytes(f"constant {name}", values.nbytes)
            np.copyto(pinned, np.frombuffer(content, np.uint8))
            self.device.cuda.memcpy_htod_async(table.address, pinned, self.stream)
            self._in_flight.add(f"constant {name}")
            kept = content, table
            self._constants[name] = kept
        return kept[1]

    def zero(self, array: DeviceArray) -> None:
        """Enqueue the filling of an array with zero bytes."""
        self.device.cuda.memset_d8_async(array.address, 0, array.nbytes, self.stream)

    def copy(self, source: DeviceArray, target: DeviceArray) -> None:
        """Enqueue a copy within the device; both have the same number of bytes."""
        if source.nbytes != target.nbytes:
            raise ValueError(f"{source.nbytes} bytes into {target.nbytes}")
        self.device.cuda.memcpy_dtod_async(target.address, source.address, source.nbytes, self.stream)

    def run(self, *launches: Launch) -> None:
        """Enqueue kernels."""
        self._kernels.run_all(launches, self.stream)

    def download(self, array: DeviceArray) -> npt.NDArray[Any]:
        """Copy an array to the host and wait for it.

        The result lies in memory of the lane and is lost with the next download: copy what is to be kept.
        """
        pinned = self._pinned_bytes("download", array.nbytes)
        self.device.cuda.memcpy_dtoh_async(pinned, array.address, self.stream)
        self.transfers.down(array.nbytes)
        self.synchronize()
        return pinned.view(array.dtype).reshape(array.shape)

    def event(self) -> Any:
        """Return a new event, recorded on the stream behind everything that was enqueued."""
        event = self.device.cuda.Event()
        event.record(self.stream)
        return event

    def synchronize(self) -> None:
        """Wait until everything that was enqueued is done."""
        self.stream.synchronize()
        self._in_flight.clear()

    def close(self) -> None:
        """Wait, then free the lane's memory."""
        self.synchronize()
        for allocation, _ in self._memory.values():
            allocation.free()
        self._memory.clear()
        self._constants.clear()
        self._pinned.clear()
        self.stream = None

    def _pinned_bytes(self, name: str, nbytes: int) -> npt.NDArray[np.uint8]:
        """Return pinned memory of exactly this length that no copy under way reads."""
        if name in self._in_flight:
            self.synchronize()
        kept = self._pinned.get(name)
        if kept is None or kept.nbytes < nbytes:
            kept = self.device.cuda.pagelocked_empty(max(1, nbytes), np.uint8)
            self._pinned[name] = kept
        return kept[:nbytes]


def _layout(lengths: list[int]) -> tuple[list[int], int]:
    """Return where parts of these lengths begin, each at a multiple of 256 bytes, and the length of the whole."""
    starts: list[int] = []
    end = 0
    for length in lengths:
        start = -(-end // 256) * 256
        starts.append(start)
        end = start + length
    return starts, end
