"""Turn `Reshape(x, Shape(y))` into a reshape to a constant."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from fundusrt_export.passes.known_shapes import known_shapes

__all__ = ["constant_reshape"]


def constant_reshape(model: onnx.ModelProto) -> int:
    """Replace the shape input of a Reshape that is computed by `Shape(y)` by a constant where only the batch is free.

    GroupNorm is exported as Reshape, InstanceNormalization, Reshape back to `Shape(input)`. The sizes are static but
    for the batch, so the target is the constant `(0, C, H, W)`: 0 copies the batch from the tensor that is reshaped.

    Legal when all of these hold:

    1. the Shape takes the whole shape (start 0, no end) and feeds Reshape nodes only, as their second input;
    2. `y` has a known rank, every size but the first known, and no known size is 0;
    3. the reshaped tensor's first size is the same as `y`'s: the same symbol or the same number; and allowzero is not
       set.

    Otherwise the node stays.

    Returns:
        Number of Shape nodes removed.
    """
    graph = model.graph
    shapes = known_shapes(model)
    removed = 0
    for node in [node for node in graph.node if node.op_type == "Shape"]:
        users = [user for user in graph.node if node.output[0] in user.input]
        source = shapes.get(node.input[0])
        part = any(attribute.name != "start" or attribute.i for attribute in node.attribute)
        if part or node.output[0] in {output.name for output in graph.output} or not users or source is None:
            continue  # case 1
        if not source or any(not isinstance(size, int) or size == 0 for size in source[1:]):
            continue  # case 2
        if not all(_keeps_batch(user, node.output[0], source[0], shapes) for user in users):
            continue  # case 3
        target = np.array([0, *source[1:]], np.int64)
        constant = numpy_helper.from_array(target, f"{node.output[0]}_constant")
        graph.initializer.append(constant)
        for user in users:
            user.input[1] = constant.name
        graph.node.remove(node)
        removed += 1
    return removed


def _keeps_batch(user: onnx.NodeProto, shape_name: str, batch: int | str, shapes: dict[str, list[int | str]]) -> bool:
    if (
        user.op_type != "Reshape"
        or user.input[0] == shape_name
        or any(a.name == "allowzero" and a.i for a in user.attribute)
    ):
        return False
    reshaped = shapes.get(user.input[0])
    return bool(reshaped) and batch != "" and reshaped[0] == batch
