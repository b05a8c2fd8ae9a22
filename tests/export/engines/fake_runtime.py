"""The runtime's side of the recorded fake: it loads the fake's own plans, runs them on a fake GPU, and its inspector
writes them as that release does, with the layers of the network that was parsed.

Running is strict: what NvInferRuntime.h asks of the caller and a GPU punishes with a crash or wrong numbers raises.
`gpu` of the module is the fake GPU (`tests.sdk.cuda.fake_cuda`), None for a machine where nothing runs; `misuse`
collects what a destructor finds, since it cannot raise.

The forms are those of NVIDIA's "Migrating IEngineInspector Usage from TensorRT 10.x to 11.x".
"""

from __future__ import annotations

import base64
import ctypes
import json
import threading
import weakref
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

# ONNX element type: member of `DataType`, the format string of TensorRT 10, the data type of TensorRT 11.
TYPES = {
    TensorProto.FLOAT: ("FLOAT", "Row major linear FP32", "Float"),
    TensorProto.FLOAT16: ("HALF", "Row major linear FP16 format", "Half"),
    TensorProto.BFLOAT16: ("BF16", "Row major linear BFloat16 format", "BFloat16"),
    TensorProto.INT8: ("INT8", "Row major Int8 format", "Int8"),
}


def engine_layers(model: bytes) -> list[dict[str, Any]]:
    """Return each node with the type and shape of what it reads and writes; constants are no inputs of a layer."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True).graph
    values = {value.name: value.type.tensor_type for value in (*graph.input, *graph.value_info, *graph.output)}

    def tensors(names: Any) -> list[dict[str, Any]]:
        known = [(name, values[name]) for name in names if name in values]
        return [{"name": name, "type": kind.elem_type, "shape": shape_of(kind)} for name, kind in known]

    return [
        {"name": node.name, "op": node.op_type, "inputs": tensors(node.input), "outputs": tensors(node.output)}
        for node in graph.node
    ]


def shape_of(kind: Any) -> list[int]:
    """Return the shape of an ONNX tensor type, -1 where a dimension is free."""
    return [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]


def add_runtime(trt: Any, strict: type, release: str, names_io: bool) -> None:
    """Give the module `Runtime`, `ICudaEngine` and `EngineInspector`.

    Args:
        trt: the fake module.
        strict: base class of its classes.
        release: the release it stands for.
        names_io: whether the release's inspector only names inputs and outputs (`Bindings`).
    """

    trt.gpu, trt.misuse = None, []

    def freed(what: str) -> None:
        """Note what is freed without a CUDA context, as it is after the context was popped or destroyed."""
        if trt.gpu is not None and not trt.gpu.stack():
            trt.misuse.append(f"{what} freed without a CUDA context")

    class Runtime(strict):
        def __init__(self, logger: Any) -> None:
            if trt.gpu is not None:
                trt.gpu.current()
            self._logger = logger
            self._engines = weakref.WeakSet()
            self.engine_host_code_allowed = False

        def __del__(self) -> None:
            freed("runtime")
            if len(self._engines):
                trt.misuse.append("runtime freed before its engine")

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
            error = None
            plan: dict[str, Any] = {}
            if serialized_engine[:4] != b"ftrt":
                error = "Magic tag does not match"
            else:
                plan = json.loads(serialized_engine[4:])
                if plan["release"] != release:
                    error = "Version tag does not match"
                elif "VERSION_COMPATIBLE" in plan["builder_flags"] and not self.engine_host_code_allowed:
                    error = "The engine contains host code, which is not allowed"
            if error is not None:
                self._logger.log(trt.Severity.ERROR, error)
                return None
            engine = ICudaEngine(plan, self._logger)
            self._engines.add(engine)
            return engine

    class ICudaEngine(strict):
        def __init__(self, plan: dict[str, Any], logger: Any) -> None:
            self._plan, self._logger = plan, logger
            self._io = {each["name"]: each for each in plan["io"]}
            self._contexts = weakref.WeakSet()
            self._alive = [True]  # the contexts see it; they do not keep the engine, whose memory is gone with it

        def __del__(self) -> None:
            freed("engine")
            self._alive[0] = False
            if len(self._contexts):
                trt.misuse.append("engine freed before its contexts")

        num_io_tensors = property(lambda self: len(self._io))
        num_optimization_profiles = property(lambda self: max(1, len(self._plan["profiles"])))

        def get_tensor_name(self, index: int) -> str:
            return list(self._io)[index]

        def get_tensor_mode(self, name: str) -> Any:
            return trt.TensorIOMode[self._io[name]["mode"]]

        def get_tensor_dtype(self, name: str) -> Any:
            return trt.DataType[TYPES[self._io[name]["type"]][0]]

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return tuple(self._io[name]["shape"])

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
            if self._io[name]["mode"] != "INPUT":
                raise ValueError(f"{name} is no input")
            return [tuple(shape) for shape in profile_shapes(self._plan, self._io[name])[profile_index]]

        def create_execution_context(self, strategy: Any = trt.ExecutionContextAllocationStrategy.STATIC) -> Any:
            strategies = trt.ExecutionContextAllocationStrategy
            if trt.gpu is None and strategy != strategies.USER_MANAGED:
                raise MemoryError("a context with memory of its own")
            if trt.gpu is not None:
                trt.gpu.current()
            configured = not isinstance(strategy, strategies)
            context = IExecutionContext(self, strategy if configured else None)
            self._contexts.add(context)
            return context

        def create_engine_inspector(self) -> Any:
            return EngineInspector(self)

    class IExecutionContext(strict):
        def __init__(self, engine: Any, config: Any) -> None:
            self._plan, self._io, self._alive, self._batch = engine._plan, engine._io, engine._alive, -1
            self._logger = engine._logger
            inputs = [name for name, each in self._io.items() if each["mode"] == "INPUT"]
            self._profile = {name: engine.get_tensor_profile_shape(name, 0) for name in inputs}
            self._addresses: dict[str, int] = {}
            self._ran_with: tuple[Any, ...] | None = None
            self._user: tuple[int, int] | None = None
            self._config = config
            if all(-1 not in each["shape"] for each in self._io.values()):
                self._batch = next(iter(self._io.values()))["shape"][0]

        def __del__(self) -> None:
            freed("execution context")

        def set_input_shape(self, name: str, shape: Any) -> bool:
            low, _, high = self._profile[name]
            if not all(least <= length <= most for least, length, most in zip(low, shape, high, strict=True)):
                return False
            self._batch = shape[0]  # all that a profile frees
            return True

        def infer_shapes(self) -> list[str]:
            return [] if self._batch > 0 else list(self._profile)

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return tuple(self._batch if length == -1 else length for length in self._io[name]["shape"])

        def set_tensor_address(self, name: str, memory: int) -> bool:
            if name not in self._io or not isinstance(memory, int) or memory == 0 or memory % 256:
                return False
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            if trt.gpu is None:
                raise MemoryError("a run without a GPU")
            trt.gpu.current()
            if not self._alive[0]:
                raise RuntimeError("segmentation fault: the engine is gone")
            if stream_handle not in trt.gpu.streams:
                raise RuntimeError(f"stream {stream_handle}: the default stream would stop all others")
            missing = [name for name in self._io if name not in self._addresses]
            if missing or self._batch < 1:
                reason = f"no address for {', '.join(missing)}" if missing else "an input shape is not specified"
                self._logger.log(trt.Severity.ERROR, f"IExecutionContext::enqueueV3: {reason}")
                return False
            stream = trt.gpu.streams[stream_handle]
            state = (self._batch, *sorted(self._addresses.items()))
            if stream.capturing is not None and self._ran_with != state:
                stream.broken = True  # memory is allocated in the first run with these shapes
                self._logger.log(trt.Severity.ERROR, "cudaErrorStreamCaptureUnsupported")
                return False
            self._ran_with = state
            addresses, batch = dict(self._addresses), self._batch

            def began() -> None:
                user = threading.get_ident(), stream_handle
                if self._user not in (None, user):
                    raise RuntimeError("one context, used by two threads or streams at a time")
                self._user = user

            def work() -> None:
                self._user = None
                if not self._alive[0]:
                    raise RuntimeError("segmentation fault: the engine is gone")
                compute(trt.gpu, self._plan, self._io, addresses, batch)

            work.began = began  # type: ignore[attr-defined]
            if stream.capturing is None:
                began()
            stream.enqueue(work)
            return True

    class EngineInspector(strict):
        def __init__(self, engine: Any) -> None:
            self._plan = engine._plan
            self.execution_context = None

        def get_engine_information(self, format: Any) -> str:
            if format != trt.LayerInformationFormat.JSON:
                return "\n".join(layer["name"] for layer in self._plan["layers"])
            context = self.execution_context
            batch = -1 if context is None else context._batch
            layers = [layer_json(layer, names_io, batch) for layer in self._plan["layers"]]
            if self._plan["verbosity"] != "DETAILED":
                return json.dumps({"Layers": [layer["Name"] for layer in layers], "Bindings": []})
            if names_io:
                return json.dumps({"Layers": layers, "Bindings": [each["name"] for each in self._plan["io"]]})
            return json.dumps(
                {"Layers": layers, "I/O Tensors": [io_json(self._plan, each) for each in self._plan["io"]]}
            )


SESSIONS: dict[str, Any] = {}


def compute(gpu: Any, plan: dict[str, Any], tensors: dict[str, Any], addresses: dict[str, int], batch: int) -> None:
    """Run the network that was built, on ONNX Runtime, over the fake GPU's memory."""
    import onnxruntime

    if plan["network"] not in SESSIONS:
        model = base64.b64decode(plan["model"])
        SESSIONS[plan["network"]] = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    views: dict[str, Any] = {}
    for name, each in tensors.items():
        shape = [batch if length == -1 else length for length in each["shape"]]
        count = int(np.prod(shape))
        gpu.check(addresses[name], 4 * count)
        floats = (ctypes.c_float * count).from_address(addresses[name])
        views[name] = np.frombuffer(floats, np.float32).reshape(shape)
    feeds = {name: views[name] for name, each in tensors.items() if each["mode"] == "INPUT"}
    (output,) = set(tensors) - set(feeds)
    views[output][...] = SESSIONS[plan["network"]].run([output], feeds)[0]


def layer_json(layer: dict[str, Any], one_string: bool, batch: int = 1) -> dict[str, Any]:
    """Return a layer as the inspector writes it.

    Args:
        layer: one of `engine_layers`.
        one_string: with format and data type in one string, or apart.
        batch: what a free dimension is, -1 without a context: there are no formats then.
    """

    def tensor(each: dict[str, Any]) -> dict[str, Any]:
        _, text, word = TYPES[each["type"]]
        shape = [batch if length == -1 else length for length in each["shape"]]
        if -1 in shape:
            text = "N/A due to dynamic shapes"
        kind = {"Format/Datatype": text} if one_string else {"Format": text, "Datatype": word}
        return {"Name": each["name"], "Location": "Device", "Dimensions": shape, **kind}

    return {
        "Name": layer["name"],
        "LayerType": layer["op"],
        "Inputs": [tensor(each) for each in layer["inputs"]],
        "Outputs": [tensor(each) for each in layer["outputs"]],
        "TacticName": f"sm80_{layer['op'].lower()}",
        "StreamId": 0,
        "Metadata": f"[ONNX Layer: {layer['name']}]",
    }


def io_json(plan: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    """Return an input or output as the inspector of TensorRT 11 writes it."""
    _, text, word = TYPES[each["type"]]
    shapes = profile_shapes(plan, each) if each["mode"] == "INPUT" else []
    return {
        "Name": each["name"],
        "IOMode": each["mode"].title(),
        "DataType": word,
        "Dimensions": each["shape"],
        "Location": "Device",
        "IsShapeInferenceIO": False,
        "ProfileInfo": [
            {"MinShape": low, "OptShape": opt, "MaxShape": high, "Format": f"{text} (kLINEAR)"}
            for low, opt, high in shapes
        ]
        or [{"Format": f"{text} (kLINEAR)"}],
    }


def profile_shapes(plan: dict[str, Any], each: dict[str, Any]) -> list[list[list[int]]]:
    """Return smallest, tuned and largest shape of an input in each profile; an engine has one at least."""
    return [profile[each["name"]] for profile in plan["profiles"]] or [[each["shape"]] * 3]
