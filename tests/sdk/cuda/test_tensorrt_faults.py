"""Faults in the order of the session's calls, planted one at a time: the recorded fake catches each."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt.backends import tensorrt as backend
from fundusrt.cuda.graph import StreamGraph
from fundusrt.cuda.lane import Lane
from fundusrt.cuda.runtime import CudaRuntime
from fundusrt.testing import tiny_image
from tests.sdk.cuda.engine_bench import bench

__all__ = ["bench"]


def unwarmed(bound: Any, *, captured_by_itself: bool) -> None:
    bound._graph = StreamGraph.capture(bound._lane.handle, bound._execute)


def shared_context(network: Any, lane: Any) -> Any:
    """The first lane's context for every lane."""
    if not hasattr(network, "_shared"):
        network._shared = BIND(network, lane)
        return network._shared
    first = network._shared
    arrays = [
        lane.array(name, array.shape, array.dtype) for name, array in (("in", first.input), ("out", first.output))
    ]
    return backend.BoundEngine(network, lane, first._context, *arrays)


def engine_first(runtime: Any) -> None:
    """The engines before their contexts."""
    with runtime.device.current():
        for network in runtime.networks.values():
            network.close()
    CLOSE(runtime)


def without_context(bound: Any) -> None:
    """After the CUDA context was popped."""
    stack = bound._lane.device.cuda.stack()
    kept, stack[:] = list(stack), []
    try:
        BOUND_CLOSE(bound)
    finally:
        stack[:] = kept


def no_addresses(context: Any, name: str, memory: int) -> bool:
    return True


def no_shape(context: Any, name: str, shape: Any) -> bool:
    return True


BIND = backend.TensorRTNetwork.bind
CLOSE = CudaRuntime.close
BOUND_CLOSE = backend.BoundEngine.close
FAULTS: dict[str, tuple[str, str, Any, str]] = {
    "captured before it ran": ("session", "BoundEngine.warm_up", unwarmed, "Capture"),
    "one context on two lanes": ("session", "TensorRTNetwork.bind", shared_context, "two threads or streams"),
    "engine freed before its contexts": ("runtime", "close", engine_first, "engine freed before its contexts"),
    "context freed without a CUDA context": ("session", "BoundEngine.close", without_context, "without a CUDA context"),
    "no address": ("context", "set_tensor_address", no_addresses, "no address for"),
    "no input shape": ("context", "set_input_shape", no_shape, "no shape for|not specified"),
    "the default stream": ("lane", "handle", property(lambda lane: 0), "default stream"),
    "not waited for": ("lane", "synchronize", lambda lane: None, "differs|left|waited|not ready|broadcast|freed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_order_of_calls_is_caught(fault: str, bench: Callable[..., Any]) -> None:
    where, name, planted, message = FAULTS[fault]
    with bench() as here:
        here.build()
        owners = {"session": backend, "runtime": CudaRuntime, "context": here.trt.IExecutionContext, "lane": Lane}
        target: Any = owners[where]
        for part in name.split(".")[:-1]:
            target = getattr(target, part)
        caught: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target, name.rpartition(".")[2], planted)
            try:
                with here.load(lanes=2) as pipeline:
                    with pipeline.runtime.lease() as first, pipeline.runtime.lease() as second:
                        first.networks["small"].enqueue()
                        second.networks["small"].enqueue()
                    made = pipeline(tiny_image())
                with fundusrt.load(here.bundle) as on_cpu:
                    if not np.array_equal(made.mask, on_cpu(tiny_image()).mask):
                        caught.append("the answer differs")
            except Exception as error:
                caught.append(str(error))
            gc.collect()
        caught += here.trt.misuse
        try:
            here.cuda.assert_clean()
        except AssertionError as error:
            caught.append(str(error))
        assert any(re.search(message, each) for each in caught), caught
        for stack in here.cuda.stacks.values():
            stack.clear()
