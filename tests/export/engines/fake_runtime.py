"""The runtime's side of the recorded fake: it loads the fake's own plans, and its inspector writes them as that release
does, with the layers of the network that was parsed.

The forms are those of NVIDIA's "Migrating IEngineInspector Usage from TensorRT 10.x to 11.x".
"""

from __future__ import annotations

import json
from typing import Any

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

    class Runtime(strict):
        def __init__(self, logger: Any) -> None:
            self._logger = logger
            self.engine_host_code_allowed = False

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
            return ICudaEngine(plan)

    class ICudaEngine(strict):
        def __init__(self, plan: dict[str, Any]) -> None:
            self._plan = plan
            self._io = {each["name"]: each for each in plan["io"]}

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
            if strategy != trt.ExecutionContextAllocationStrategy.USER_MANAGED:
                raise MemoryError("a context with memory of its own")
            return IExecutionContext(self)

        def create_engine_inspector(self) -> Any:
            return EngineInspector(self)

    class IExecutionContext(strict):
        def __init__(self, engine: Any) -> None:
            self._engine, self._batch = engine, -1

        def set_input_shape(self, name: str, shape: Any) -> bool:
            low, _, high = self._engine.get_tensor_profile_shape(name, 0)
            if not all(least <= length <= most for least, length, most in zip(low, shape, high, strict=True)):
                return False
            self._batch = shape[0]  # all that a profile frees
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
