"""The driver's library without a driver: the functions by which graphs are captured and launched on the fake GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.sdk.cuda.fake_cuda import FakeCuda


class FakeDriver:
    """Plays the driver's library: the functions by which graphs are captured and launched.

    Args:
        cuda: the same GPU.
        refuse: name of a function that fails.
    """

    def __init__(self, cuda: FakeCuda, refuse: str | None = None) -> None:
        self.cuda, self.refuse = cuda, refuse
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.executables: dict[int, list[Callable[[], None]]] = {}
        self.launches = 0

    def cuStreamBeginCapture_v2(self, stream: Any, mode: int) -> int:
        assert mode == 1, "other threads would be stopped from allocating"
        if self.refuse == "cuStreamBeginCapture_v2":
            return 900
        found = self.cuda.streams[stream.value]
        assert not found.pending, "captured while work was pending"
        found.capturing, found.broken = [], False
        return 0

    def cuStreamEndCapture(self, stream: Any, graph: Any) -> int:
        found = self.cuda.streams[stream.value]
        if found.capturing is None:
            return 901
        recorded, found.capturing = found.capturing, None
        if found.broken or self.refuse == "cuStreamEndCapture":
            return 901
        graph._obj.value = 1 + len(self.graphs)
        self.graphs[graph._obj.value] = recorded
        return 0

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: Any, flags: Any) -> int:
        if self.refuse == "cuGraphInstantiateWithFlags":
            return 801
        executable._obj.value = 10_000 + len(self.executables)
        self.executables[executable._obj.value] = list(self.graphs[graph.value])
        return 0

    def cuGraphLaunch(self, executable: Any, stream: Any) -> int:
        if executable.value not in self.executables:
            return 400
        self.launches += 1
        for work in self.executables[executable.value]:
            getattr(work, "began", lambda: None)()
            self.cuda.streams[stream.value].enqueue(work)
        return 0

    def cuGraphDestroy(self, graph: Any) -> int:
        self.graphs.pop(graph.value)
        self.graphs[-graph.value] = []  # keeps the numbers apart
        return 0

    def cuGraphExecDestroy(self, executable: Any) -> int:
        self.executables.pop(executable.value)
        self.executables[-executable.value] = []
        return 0
