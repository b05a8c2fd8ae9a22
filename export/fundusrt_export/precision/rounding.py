"""A reduced-precision graph as a float32 graph that rounds every tensor: it runs where the kernels are missing.

ONNX Runtime on the CPU has no bfloat16 convolution, and its float16 nodes are computed in float32 with some roundings
left out. The twin made here is exact about what a reduced file can lose at most: each tensor that the file holds in a
reduced type is rounded to it, weights included; sums inside a node are taken in float32, as GPUs take them.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fundusrt_export.precision.typed_graph import element_types

__all__ = ["rounded_twin"]

_OWN = "rounded_twin_"  # an operator is called Round: its nodes have that name
_REDUCED = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def rounded_twin(content: bytes) -> bytes:
    """Return the float32 ONNX file that rounds where a mixed-precision file holds float16 or bfloat16.

    Args:
        content: an ONNX file with Casts, such as `typed_graph` makes; a float32 or quantised file comes back as it is.
    """
    model = onnx.load_model_from_string(content)
    types = element_types(model)
    if not set(types.values()) & set(_REDUCED):
        return content
    graph = model.graph
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "Cast":
            target = next(attribute for attribute in node.attribute if attribute.name == "to")
            if target.i in _REDUCED:
                narrow = f"{node.output[0]}_narrow"
                nodes.append(helper.make_node("Cast", list(node.input), [narrow], to=target.i))
                nodes.append(helper.make_node("Cast", [narrow], list(node.output), to=TensorProto.FLOAT))
                continue
        nodes.append(node)
        for index, name in enumerate(node.output):
            if types.get(name) in _REDUCED:
                node.output[index] = f"{name}_wide"
                narrow = f"{name}_narrow"
                nodes.append(helper.make_node("Cast", [node.output[index]], [narrow], to=types[name]))
                nodes.append(helper.make_node("Cast", [narrow], [name], to=TensorProto.FLOAT))
    for number, node in enumerate(nodes):
        node.name = node.name or f"{_OWN}{number}"
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    for tensor in graph.initializer:
        if tensor.data_type in _REDUCED:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    return model.SerializeToString(deterministic=True)
