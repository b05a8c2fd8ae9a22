"""A Python function as a network on the fake GPU."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.lane import Lane
from fundusrt.manifest import NetworkSpec


def host_view(array: DeviceArray) -> Any:
    """Return the fake GPU's memory as NumPy sees it."""
    raw = (ctypes.c_uint8 * array.nbytes).from_address(array.address)
    return np.frombuffer(raw, array.dtype).reshape(array.shape)


class HostNetwork:
    """Runs `function`, (N, C, H, W) float32 to (N, 1, H, W) float32, when its stream is waited for."""

    name = "host"

    def __init__(self, function: Callable[[Any], Any], spec: NetworkSpec, batch: int = 1) -> None:
        self.function, self.spec, self.batch = function, spec, batch
        self.inputs = {spec.input.name: spec.input}
        self.outputs = {spec.output.name: spec.output}
        self.bound: list[Any] = []
        self.closed = False

    def bind(self, lane: Lane) -> Any:
        assert not self.closed
        bound = BoundFunction(self, lane)
        self.bound.append(bound)
        return bound

    def close(self) -> None:
        assert all(each.closed for each in self.bound), "the network went before what is bound to it"
        self.closed = True


class BoundFunction:
    notes: tuple[str, ...] = ()

    def __init__(self, network: HostNetwork, lane: Lane) -> None:
        self.network, self.lane, self.closed = network, lane, False
        kind = network.spec
        self.input, self.output = (
            lane.array(f"{id(network)} {tensor.name}", (network.batch, *tensor.shape[1:]), np.float32)
            for tensor in (kind.input, kind.output)
        )
        self.user: int | None = None

    def enqueue(self) -> None:
        thread = threading.get_ident()
        assert self.user in (None, thread), "two threads on one lane"
        self.user = thread

        def work() -> None:
            self.user = None
            host_view(self.output)[...] = self.network.function(host_view(self.input))

        self.lane.stream.enqueue(work)

    def close(self) -> None:
        self.closed = True
