"""Small ONNX networks in each precision, and the manifest's word on them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fundusrt.engine_identity import BatchRange
from fundusrt.manifest import NetworkSpec

ONE = BatchRange(min=1, opt=1, max=1)
SIDE = 32


def spec(batch: int | str = "batch") -> NetworkSpec:
    tensors = {
        name: {"name": name, "dtype": "float32", "shape": [batch, planes, SIDE, SIDE]}
        for name, planes in (("image", 3), ("probability", 1))
    }
    variants = [{"file": "net.onnx"}]
    return NetworkSpec.model_validate(
        {"role": "tile", "input": tensors["image"], "output": tensors["probability"], "variants": variants}
    )


def network(precision: str = "fp32", batch: int | str = "batch", last: str = "Sigmoid", seed: int = 0) -> bytes:
    """Conv, an activation; the inner tensors in the precision asked for, input and output in float32."""
    weights = np.random.default_rng(seed).normal(0, 0.3, (1, 3, 3, 3)).astype(np.float32)
    nodes, tensors = _quantised(weights) if precision == "int8" else _typed(weights, precision)
    nodes.append(helper.make_node(last, ["score"], ["answer"], name="last"))
    to = [TensorProto.FLOAT]
    nodes.append(helper.make_node("Cast", ["answer"], ["probability"], name="out", to=to[0]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [batch, 1, SIDE, SIDE])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22 if precision == "bf16" else 19)])
    model.ir_version = 10
    return model.SerializeToString()


def _typed(weights: np.ndarray, precision: str) -> tuple[list, list]:
    kind = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}[precision]
    values = helper.make_tensor("w", kind, weights.shape, weights.ravel())
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], name="in", to=kind),
        helper.make_node("Conv", ["x", "w"], ["score"], name="conv", pads=[1, 1, 1, 1]),
    ]
    return nodes, [values]


def _quantised(weights: np.ndarray) -> tuple[list, list]:
    scale = np.float32(np.abs(weights).max() / 127)
    stored = np.round(weights / scale).astype(np.int8)
    constants = {"w8": stored, "ws": scale, "xs": np.float32(1 / 127), "zero": np.int8(0)}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "xs", "zero"], ["x8"], name="quantise"),
        helper.make_node("DequantizeLinear", ["x8", "xs", "zero"], ["x"], name="dequantise"),
        helper.make_node("DequantizeLinear", ["w8", "ws", "zero"], ["w"], name="weights"),
        helper.make_node("Conv", ["x", "w"], ["score"], name="conv", pads=[1, 1, 1, 1]),
    ]
    return nodes, tensors
