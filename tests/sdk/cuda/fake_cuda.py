"""A GPU without a GPU: what this project uses of `pycuda.driver`, made stricter.

Device memory is the host's, kept apart by a registry. Nothing that is enqueued happens before its stream is waited for,
so memory that is freed or written over too early shows. A call without a current context, an address that no living
allocation holds, a copy from or to memory that is not pinned, work while a graph is captured, and a context popped too
often raise.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[str, tuple[int, int, int], tuple[int, int, int], tuple[Any, ...]], None]


class CudaError(Exception):
    """Any failure."""


class FakeCuda:
    """Plays the module `pycuda.driver`.

    Args:
        run: executes a kernel: name, grid, block, arguments; None for a GPU without kernels.
        memory: bytes that may be allocated.
    """

    Error = CudaError
    MemoryError = CudaError

    def __init__(self, run: Run | None = None, memory: int = 2**40) -> None:
        cuda = self
        self.run = run
        self.memory = memory
        self.stacks: dict[int, list[Any]] = {}
        self.living: dict[int, tuple[int, Any]] = {}
        self.dead: list[Any] = []  # memory that was freed is not given out again
        self.streams: dict[int, Any] = {}
        self.contexts: list[Any] = []
        self.pinned: list[weakref.ref[Any]] = []
        self.uploaded = self.downloaded = 0
        self.peak = 0
        self.started = False
        self.modules = 0

        class Context:
            def __init__(self, device: Any) -> None:
                self.device, self.retained = device, True
                cuda.contexts.append(self)

            def push(self) -> None:
                cuda.stack().append(self)

            def detach(self) -> None:
                self.retained = False

            @staticmethod
            def pop() -> None:
                if not cuda.stack():
                    raise CudaError("cannot pop non-current context")
                cuda.stack().pop()

        class Device:
            def __init__(self, ordinal: int) -> None:
                if not cuda.started:
                    raise CudaError("not initialized")
                if ordinal != 0:
                    raise CudaError("invalid device ordinal")

            def name(self) -> str:
                return "Fake GPU"

            def compute_capability(self) -> tuple[int, int]:
                return 9, 0

            def retain_primary_context(self) -> Any:
                return Context(self)

        class Stream:
            def __init__(self) -> None:
                cuda.current()
                self.handle = 1000 + len(cuda.streams)
                self.pending: deque[Callable[[], None]] = deque()
                self.capturing: list[Callable[[], None]] | None = None
                self.broken = False
                cuda.streams[self.handle] = self

            def enqueue(self, work: Callable[[], None]) -> None:
                cuda.current()
                if self.capturing is not None:
                    self.capturing.append(work)
                else:
                    self.pending.append(work)

            def synchronize(self) -> None:
                cuda.current()
                if self.capturing is not None:
                    self.broken = True
                    raise CudaError("operation not permitted when stream is capturing")
                while self.pending:
                    self.pending.popleft()()

        class Event:
            def __init__(self) -> None:
                cuda.current()
                self.at: int | None = None

            def record(self, stream: Any) -> None:
                stream.enqueue(lambda: setattr(self, "at", 1))

            def synchronize(self) -> None:
                cuda.current()

            def time_since(self, other: Any) -> float:
                if self.at is None or other.at is None:
                    raise CudaError("device not ready")
                return 0.25

        class Function:
            def __init__(self, name: str) -> None:
                self.name, self.types = name, None

            def prepare(self, types: list[Any]) -> Any:
                self.types = [np.dtype(kind) for kind in types]
                return self

            def prepared_async_call(self, grid: Any, block: Any, stream: Any, *arguments: Any) -> None:
                assert self.types is not None, "a call before prepare"
                given = [np.dtype(type(argument)) for argument in arguments]
                if given != self.types:
                    raise TypeError(f"{self.name}: {given} instead of {self.types}")
                if cuda.run is None:
                    raise CudaError("no kernels")
                addresses = [int(argument) for argument in arguments if isinstance(argument, np.uint64) and argument]

                def work() -> None:
                    for address in addresses:
                        cuda.check(address, 1)
                    cuda.run(self.name, grid, block, arguments)

                stream.enqueue(work)

        class Module:
            def __init__(self, content: bytes) -> None:
                cuda.current()
                if not content:
                    raise CudaError("invalid image")
                cuda.modules += 1

            def get_function(self, name: str) -> Any:
                cuda.current()
                return Function(name)

            def __del__(self) -> None:
                cuda.modules -= 1

        class Allocation:
            def __init__(self, nbytes: int) -> None:
                cuda.current()
                if sum(size for size, _ in cuda.living.values()) + nbytes > cuda.memory:
                    raise CudaError("cuMemAlloc failed: out of memory")
                if any(stream.capturing is not None for stream in cuda.streams.values()):
                    raise CudaError("operation not permitted when stream is capturing")
                raw = np.full(nbytes + 512, 0xCD, np.uint8)  # nobody may count on zeros
                self.address = -(-raw.ctypes.data // 256) * 256
                cuda.living[self.address] = nbytes, raw
                cuda.peak = max(cuda.peak, sum(size for size, _ in cuda.living.values()))

            def __int__(self) -> int:
                return self.address

            def free(self) -> None:
                cuda.current()
                if self.address not in cuda.living:
                    raise CudaError("freed twice")
                cuda.dead.append(cuda.living.pop(self.address))

        self.Context, self.Device, self.Stream, self.Event = Context, Device, Stream, Event
        self.mem_alloc, self.module_from_buffer = Allocation, Module

    def init(self) -> None:
        self.started = True

    def stack(self) -> list[Any]:
        """Return the calling thread's contexts."""
        return self.stacks.setdefault(threading.get_ident(), [])

    def current(self) -> None:
        """Raise where the calling thread has no context."""
        if not self.stack():
            raise CudaError("invalid device context")

    def check(self, address: int, nbytes: int) -> None:
        """Raise unless a living allocation holds these bytes."""
        for start, (size, _) in self.living.items():
            if start <= address and address + nbytes <= start + size:
                return
        raise CudaError(f"an illegal memory access was encountered: {nbytes} bytes at {address:#x}")

    def mem_get_info(self) -> tuple[int, int]:
        self.current()
        return self.memory - sum(size for size, _ in self.living.values()), self.memory

    def pagelocked_empty(self, shape: Any, dtype: Any) -> Any:
        self.current()
        made = np.empty(shape, dtype)
        self.pinned.append(weakref.ref(made))
        return made

    def must_be_pinned(self, array: Any) -> None:
        """Raise for a host array whose copies the driver would not run beside anything else."""
        owner = array if array.base is None else array.base
        if not any(kept() is owner for kept in self.pinned):
            raise CudaError("an asynchronous copy of memory that is not pinned")

    def memcpy_htod_async(self, target: int, source: Any, stream: Any) -> None:
        def work() -> None:
            self.check(target, source.nbytes)
            ctypes.memmove(target, source.ctypes.data, source.nbytes)

        self.must_be_pinned(source)
        self.uploaded += source.nbytes
        stream.enqueue(work)

    def memcpy_dtoh_async(self, target: Any, source: int, stream: Any) -> None:
        def work() -> None:
            self.check(source, target.nbytes)
            ctypes.memmove(target.ctypes.data, source, target.nbytes)

        self.must_be_pinned(target)
        self.downloaded += target.nbytes
        stream.enqueue(work)

    def memcpy_dtod_async(self, target: int, source: int, nbytes: int, stream: Any) -> None:
        def work() -> None:
            self.check(source, nbytes)
            self.check(target, nbytes)
            ctypes.memmove(target, source, nbytes)

        stream.enqueue(work)

    def memset_d8_async(self, target: int, value: int, nbytes: int, stream: Any) -> None:
        def work() -> None:
            self.check(target, nbytes)
            ctypes.memset(target, value, nbytes)

        stream.enqueue(work)

    def assert_clean(self, *, memory: bool = True) -> None:
        """Assert that every push was popped and, unless told otherwise, that everything was freed."""
        assert not any(self.stacks.values()), "a context was left pushed"
        if memory:
            assert not self.living, f"{len(self.living)} allocations were not freed"
            assert self.modules == 0, "the kernels were not unloaded"
        assert not any(stream.pending for stream in self.streams.values()), "work was never waited for"
