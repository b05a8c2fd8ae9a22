"""Work of a stream, captured once and launched as a whole (a CUDA graph).

PyCUDA has no graphs, so the driver's own functions are called. Capturing sees only what its own thread enqueues: other
threads go on meanwhile.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from fundusrt.errors import BackendUnavailable
from fundusrt.nvidia_driver import driver_library

__all__ = ["StreamGraph"]

_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL of cuda.h


class StreamGraph:
    """A captured graph, bound to the addresses and shapes it was captured with. Make one with `capture`."""

    def __init__(self, library: Any, executable: ctypes.c_void_p) -> None:
        self._library = library
        self._executable: ctypes.c_void_p | None = executable

    @classmethod
    def capture(cls, stream: int, enqueue: Callable[[], None]) -> StreamGraph:
        """Capture what `enqueue` puts on a stream; nothing of it runs.

        Args:
            stream: the stream's handle; nothing else may use it meanwhile.
            enqueue: has to have run once before, uncaptured, so that no memory is allocated in it any more.

        Raises:
            BackendUnavailable: the driver refuses, or `enqueue` does what cannot be captured.
        """
        library = driver_library()
        handle = ctypes.c_void_p(stream)
        _check(library.cuStreamBeginCapture_v2(handle, _THREAD_LOCAL), "cuStreamBeginCapture")
        graph = ctypes.c_void_p()
        try:
            enqueue()
        finally:
            # Also after an error, which leaves the stream capturing otherwise.
            status = library.cuStreamEndCapture(handle, ctypes.byref(graph))
        executable = ctypes.c_void_p()
        try:
            _check(status, "cuStreamEndCapture")
            _check(
                library.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, ctypes.c_ulonglong(0)),
                "cuGraphInstantiate",
            )
        finally:
            if graph.value:
                library.cuGraphDestroy(graph)
        return cls(library, executable)

    def launch(self, stream: int) -> None:
        """Enqueue the whole work on a stream.

        Raises:
            BackendUnavailable: it was closed, or the driver refuses.
        """
        if self._executable is None:
            raise BackendUnavailable(
                "CUDA graph", got="a launch after close()", expected="an open graph", fix="load the pipeline again"
            )
        _check(self._library.cuGraphLaunch(self._executable, ctypes.c_void_p(stream)), "cuGraphLaunch")

    def close(self) -> None:
        """Free the graph; its stream has to be idle."""
        if self._executable is not None:
            self._library.cuGraphExecDestroy(self._executable)
            self._executable = None


def _check(status: int, call: str) -> None:
    if status != 0:
        raise BackendUnavailable(
            "CUDA graph",
            got=f"{call} returned {status}",
            expected="work that can be captured",
            fix="it runs without a graph, a little slower",
        )
