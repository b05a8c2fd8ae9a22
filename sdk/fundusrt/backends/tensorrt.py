"""Engines of the cache on TensorRT 10 and 11, TensorRT-RTX and the lean runtime, over what they have in common.

Made in this order, and freed in the opposite one:

    runtime -> engine -> context of each lane -> its CUDA graph

The engine is shared; each lane has a context, a stream and addresses of its own, so that no two threads meet in one
(NvInferRuntime.h, `IExecutionContext`: one context must not be used by two threads at a time).
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.graph import StreamGraph
from fundusrt.cuda.lane import Lane
from fundusrt.cuda.network import ManifestTensors
from fundusrt.engine_cache import CachedEngine
from fundusrt.errors import BackendUnavailable, EngineMismatch, FundusRTError
from fundusrt.manifest import NetworkSpec
from fundusrt.sealed_file import SealedFile
from fundusrt.tensorrt_flavour import TensorRT
from fundusrt.tensorrt_log import package_log

__all__ = ["TensorRTNetwork"]


class TensorRTNetwork(ManifestTensors):
    """One engine in the GPU's memory.

    Args:
        tensorrt: the package that loads it.
        cached: the engine from the cache, which vouches for it: a plan is code.
        spec: what the manifest says of the network.
        batch: images of one run; None for the size the engine is tuned for.
        jit_cache: file of TensorRT-RTX's compiled kernels, read and written; None to compile anew each time.

    Raises:
        EngineMismatch: the package does not load the plan, or the plan's tensors are not what the manifest says.
        BackendUnavailable: the package hands out no runtime.
    """

    def __init__(
        self,
        tensorrt: TensorRT,
        cached: CachedEngine,
        spec: NetworkSpec,
        *,
        batch: int | None = None,
        jit_cache: SealedFile | None = None,
    ) -> None:
        identity = cached.record.identity
        self._trt: Any = tensorrt.module
        self._log = package_log(self._trt)
        self._subject = f"engine of {identity.bundle}, network {identity.network!r}"
        self._spec = spec
        self._jit_cache = jit_cache
        self._label = f"{tensorrt.name} {tensorrt.version}"
        self._runtime: Any = self._make_runtime()
        if identity.options.version_compatible and not identity.options.exclude_lean_runtime:
            self._runtime.engine_host_code_allowed = True  # of a plan that was built here
        self._engine: Any = self._runtime.deserialize_cuda_engine(cached.plan)
        if self._engine is None:
            raise self._mismatch(f"a plan that {self._label} does not load: {self._log.reason()}")
        low, tuned, high = self._check_tensors()
        self._batch = tuned if batch is None else batch
        if not low <= self._batch <= high:
            raise self._mismatch(f"batches {low} to {high}, without {self._batch}")

    @property
    def name(self) -> str:
        """Package, version and batch."""
        return f"{self._label}, batch {self._batch}"

    def bind(self, lane: Lane) -> BoundEngine:
        """Make a context on a lane, run it once, and capture it.

        Raises:
            BackendUnavailable: closed, no memory for a context, or an engine that refuses its shapes or addresses.
        """
        if self._engine is None:
            raise BackendUnavailable(
                self._subject, got="a call after close()", expected="an open engine", fix="load the pipeline again"
            )
        settings = self._runtime_settings()
        context: Any = self._engine.create_execution_context(*([] if settings is None else [settings]))
        if context is None:
            raise self._failed("no execution context")
        shape = (self._batch, *_lengths(self._spec.input.shape[1:]))
        if not context.set_input_shape(self._spec.input.name, shape):
            raise self._failed(f"input shape {shape} refused")
        missing = list(context.infer_shapes())
        if missing:
            raise self._failed(f"no shape for {', '.join(missing)}")
        made = tuple(int(length) for length in context.get_tensor_shape(self._spec.output.name))
        expected = (self._batch, *_lengths(self._spec.output.shape[1:]))
        if made != expected:
            raise self._mismatch(f"output of shape {made} instead of {expected}")
        arrays: list[DeviceArray] = []
        for tensor, lengths in ((self._spec.input, shape), (self._spec.output, expected)):
            array = lane.array(f"{self._subject}, {tensor.name}", lengths, np.float32)
            if not context.set_tensor_address(tensor.name, array.address):
                raise self._failed(f"address of {tensor.name} refused")
            arrays.append(array)
        bound = BoundEngine(self, lane, context, arrays[0], arrays[1])
        bound.warm_up(captured_by_itself=settings is not None)
        if settings is not None and self._jit_cache is not None:
            # Only speed is lost without it.
            with contextlib.suppress(FundusRTError):
                self._jit_cache.write(bytes(settings.get_runtime_cache().serialize()))
        return bound

    def run_failed(self) -> BackendUnavailable:
        """Return the error of a run that the package refused."""
        return self._failed("a run that was not enqueued")

    def close(self) -> None:
        """Free the engine, then the runtime; its contexts are gone."""
        self._engine = None
        self._runtime = None

    def _make_runtime(self) -> Any:
        try:
            runtime = self._trt.Runtime(self._log.logger)
        except TypeError:  # the bindings' answer to a library that hands out no runtime
            runtime = None
        if runtime is None:
            raise self._failed("no runtime")
        return runtime

    def _check_tensors(self) -> tuple[int, int, int]:
        """Return the smallest, tuned and largest batch of an engine whose tensors are the manifest's."""
        trt, engine = self._trt, self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        modes = {name: engine.get_tensor_mode(name) for name in names}
        wanted = {self._spec.input.name: trt.TensorIOMode.INPUT, self._spec.output.name: trt.TensorIOMode.OUTPUT}
        if modes != wanted:
            raise self._mismatch(f"tensors {', '.join(f'{name} ({mode.name})' for name, mode in modes.items())}")
        for tensor in (self._spec.input, self._spec.output):
            kind, shape = engine.get_tensor_dtype(tensor.name), tuple(engine.get_tensor_shape(tensor.name))
            if kind != trt.DataType.FLOAT or shape[1:] != _lengths(tensor.shape[1:]):
                raise self._mismatch(f"{tensor.name} of {kind.name} {shape}")
        profile = engine.get_tensor_profile_shape(self._spec.input.name, 0)
        low, tuned, high = (int(shape[0]) for shape in map(tuple, profile))
        return low, tuned, high

    def _runtime_settings(self) -> Any:
        """Return the configuration with which TensorRT-RTX captures by itself; None where that is the caller's job."""
        if not hasattr(self._trt, "CudaGraphStrategy"):
            return None
        settings = self._engine.create_runtime_config()
        settings.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        cache = settings.create_runtime_cache()
        if self._jit_cache is not None:
            # A changed or foreign file is not used; the next one replaces it.
            with contextlib.suppress(EngineMismatch):
                content = self._jit_cache.read()
                if content is not None:
                    cache.deserialize(content)
        settings.set_runtime_cache(cache)
        return settings

    def _mismatch(self, got: str) -> EngineMismatch:
        expected = f"{self._spec.input.name} {self._spec.input.shape} to {self._spec.output.name} "
        return EngineMismatch(
            self._subject,
            got=got,
            expected=f"{expected}{self._spec.output.shape}, float32, on {self._label}",
            fix="build it again with `fundusrt build --force`",
        )

    def _failed(self, got: str) -> BackendUnavailable:
        return BackendUnavailable(
            f"{self._subject} on {self._label}",
            got=f"{got}: {self._log.reason()}",
            expected="a GPU with free memory that this engine was built for",
            fix="close other programs on the GPU, load with fewer lanes, or run `fundusrt doctor`",
        )


class BoundEngine:
    """A context of an engine on one lane. Make one with `TensorRTNetwork.bind`."""

    def __init__(
        self, owner: TensorRTNetwork, lane: Lane, context: Any, feed: DeviceArray, answer: DeviceArray
    ) -> None:
        self._owner = owner
        self._lane = lane
        self._context: Any = context
        self._graph: StreamGraph | None = None
        self.input = feed
        self.output = answer
        self.notes: tuple[str, ...] = ()

    def warm_up(self, *, captured_by_itself: bool) -> None:
        """Run once, uncaptured, so that nothing is allocated any more; then capture, or note why not."""
        self._lane.zero(self.input)
        self._execute()
        self._lane.synchronize()
        if captured_by_itself:
            return
        try:
            self._graph = StreamGraph.capture(self._lane.handle, self._execute)
        except (BackendUnavailable, OSError) as error:
            self.notes = (f"network without a CUDA graph ({self._owner.name}): {error}",)

    def enqueue(self) -> None:
        """Enqueue one run."""
        if self._graph is not None:
            self._graph.launch(self._lane.handle)
        else:
            self._execute()

    def close(self) -> None:
        """Free the graph, then the context."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None
        self._context = None

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._lane.handle):
            raise self._owner.run_failed()


def _lengths(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    return tuple(int(length) for length in shape)
