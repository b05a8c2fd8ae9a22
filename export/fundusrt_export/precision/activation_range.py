"""How large every tensor of a network becomes on real tiles."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fundusrt.backends.base import Array
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt_export.errors import ExportError
from fundusrt_export.precision.typed_graph import element_types

__all__ = ["audit_ranges", "largest_weights"]

_OWN = "range_audit_"


def audit_ranges(model: onnx.ModelProto, tiles: Array, *, threads: int | None = None) -> dict[str, float]:
    """Return max |x| of the input and of every float32 activation over the tiles, by tensor name.

    The float32 network runs once on each tile, with two numbers of each activation as outputs: the largest |x|, and the
    sum of |x|, which is not finite where any x is not. (The largest of numbers and NaN may be a number.)

    Args:
        model: float32, one input and one output, named nodes.
        tiles: (N, C, H, W) float32, finite.
        threads: of ONNX Runtime, None for one per core.

    Raises:
        ExportError: an activation is not finite in float32; the tensor is named.
    """
    feed = model.graph.input[0].name
    ranges = {feed: float(np.abs(tiles).max(initial=0.0))}
    types = element_types(model)
    audited = [name for node in model.graph.node for name in node.output if types.get(name) == TensorProto.FLOAT]
    session = OnnxRuntimeSession(_with_numbers(model, audited), source="network under audit", threads=threads)
    for tile in tiles:
        numbers = session.run({feed: tile[None]})
        for name in audited:
            largest, total = (float(numbers[f"{_OWN}{kind}_{name}"].reshape(())) for kind in ("most", "sum"))
            if not np.isfinite(largest) or not np.isfinite(total):
                raise ExportError(
                    f"activation {name}",
                    got="NaN or infinity in float32",
                    expected="finite values on every tile",
                    fix="repair the network or the tiles; no precision can hold this",
                )
            ranges[name] = max(ranges.get(name, 0.0), largest)
    return ranges


def largest_weights(model: onnx.ModelProto) -> dict[str, float]:
    """Return max |w| of every float32 initialiser by name."""
    return {
        tensor.name: float(np.abs(numpy_helper.to_array(tensor)).max(initial=0.0))
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
    }


def _with_numbers(model: onnx.ModelProto, names: list[str]) -> bytes:
    """Return the file with the largest and the sum of |x| of the named tensors as outputs in place of its own."""
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    del probed.graph.output[:], probed.graph.value_info[:]
    for name in names:
        size = f"{_OWN}abs_{name}"
        probed.graph.node.append(helper.make_node("Abs", [name], [size], name=size))
        for kind, operator in (("most", "ReduceMax"), ("sum", "ReduceSum")):
            number = f"{_OWN}{kind}_{name}"
            probed.graph.node.append(helper.make_node(operator, [size], [number], name=number, keepdims=0))
            probed.graph.output.append(helper.make_tensor_value_info(number, TensorProto.FLOAT, []))
    return probed.SerializeToString()
