"""InstanceNormalization in two passes: to measure a graph apart from the rounding of one runtime's kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fundusrt_export.passes.known_shapes import known_shapes

__all__ = ["exact_instance_norm"]


def exact_instance_norm(model: onnx.ModelProto) -> int:
    """Write each InstanceNormalization out by its definition, with means of rows and then of the rows' means.

    Never for a file that is shipped: TensorRT fuses the operator, which is why its graph has it. ONNX Runtime's kernel
    (and OpenVINO's) adds up a whole group at once, and on flat images that changes answers by a hundredth
    (`rewrite.group_norm`); what such a run shows is the kernel, not the graph. With this pass everything else is the
    file's own: nodes, weights, scale and bias, epsilon.

    Legal when the input has rank 3, (N, G, K), with G and K known. Otherwise the node stays.

    Returns:
        Number of nodes written out.
    """
    graph = model.graph
    shapes = known_shapes(model)
    changed = 0
    for node in [node for node in graph.node if node.op_type == "InstanceNormalization"]:
        shape = shapes.get(node.input[0], [])
        if len(shape) != 3 or not all(isinstance(length, int) for length in shape[1:]):
            continue
        groups, length = int(shape[1]), int(shape[2])
        columns = next(each for each in range(math.isqrt(length), 0, -1) if length % each == 0)
        epsilon = next((attribute.f for attribute in node.attribute if attribute.name == "epsilon"), 1e-5)
        place = list(graph.node).index(node)
        graph.node.remove(node)
        for offset, made in enumerate(_written_out(graph, node, groups, length, length // columns, columns, epsilon)):
            graph.node.insert(place + offset, made)
        changed += 1
    return changed


def _written_out(
    graph: onnx.GraphProto, node: onnx.NodeProto, groups: int, length: int, rows: int, columns: int, epsilon: float
) -> list[onnx.NodeProto]:
    name = node.output[0]
    made: list[onnx.NodeProto] = []

    def constant(suffix: str, values: list[int] | list[float], dtype: type[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), f"{name}_{suffix}"))
        return f"{name}_{suffix}"

    def add(operator: str, inputs: list[str], output: str, attributes: dict[str, Any] | None = None) -> str:
        made.append(helper.make_node(operator, inputs, [output], **(attributes or {})))
        return output

    def mean(value: str, output: str) -> str:
        by_row = add(
            "ReduceMean", [value, constant(f"{output}_3", [3], np.int64)], f"{name}_{output}_row", {"keepdims": 1}
        )
        last = constant(f"{output}_2", [2], np.int64)
        return add("ReduceMean", [by_row, last], f"{name}_{output}", {"keepdims": 1})

    x = add("Reshape", [node.input[0], constant("rows", [-1, groups, rows, columns], np.int64)], f"{name}_x")
    centred = add("Sub", [x, mean(x, "mean")], f"{name}_centred")
    variance = mean(add("Mul", [centred, centred], f"{name}_squared"), "variance")
    padded = add("Add", [variance, constant("epsilon", [epsilon], np.float32)], f"{name}_padded")
    spread = add("Sqrt", [padded], f"{name}_spread")
    y = add("Div", [centred, spread], f"{name}_unit")
    y = add("Reshape", [y, constant("flat", [-1, groups, length], np.int64)], f"{name}_plain")
    shape = constant("affine", [1, groups, 1], np.int64)
    scale = add("Reshape", [node.input[1], shape], f"{name}_scale")
    bias = add("Reshape", [node.input[2], shape], f"{name}_bias")
    add("Add", [add("Mul", [y, scale], f"{name}_scaled"), bias], name)
    return made
