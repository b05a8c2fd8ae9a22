"""Turn `Resize(x, sizes=Concat(Shape(x)[0:2], constant))` into a Resize by constant scales."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from fundusrt_export.passes.known_shapes import known_shapes

__all__ = ["constant_resize"]


def constant_resize(model: onnx.ModelProto) -> int:
    """Replace the size of a Resize that repeats the batch and the channels of its input by constant scales.

    PyTorch's `interpolate` to a fixed size is exported with the batch, which is free, read from the input's shape. What
    is resized is height and width alone, by a known factor: scales (1, 1, sy, sx).

    Legal when all of these hold:

    1. the size is a Concat of two parts, the first two lengths of the very tensor that is resized (a Shape from 0 to
       2), and a constant of two lengths; the Concat is used nowhere else. Several may share one Shape, which goes with
       the last of its users;
    2. that tensor has a rank of 4 and a known height and width;
    3. both scales are exact in float32 and give the constant back: floor(length * scale) = target. Then every position
       is computed from the same numbers as before, whatever the coordinate mode.

    Otherwise the node stays.

    Returns:
        Number of Resize nodes changed.
    """
    graph = model.graph
    shapes = known_shapes(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    changed = 0
    for node in [node for node in graph.node if node.op_type == "Resize" and len(node.input) == 4]:
        join = made_by.get(node.input[3])
        shape = made_by.get(join.input[0]) if join is not None and join.op_type == "Concat" else None
        if join is None or shape is None or not _repeats_batch(graph, node, join, shape):
            continue  # case 1
        source = shapes.get(node.input[0], [])
        if len(source) != 4 or not all(isinstance(length, int) and length > 0 for length in source[2:]):
            continue  # case 2
        target = constants.get(join.input[1])
        if target is None or target.shape != (2,):
            continue  # case 1
        scales = _exact_scales([int(length) for length in source[2:]], [int(length) for length in target])
        if scales is None:
            continue  # case 3
        constant = numpy_helper.from_array(np.array([1.0, 1.0, *scales], np.float32), f"{node.input[3]}_scales")
        graph.initializer.append(constant)
        resized = node.input[0]
        del node.input[:]
        node.input.extend([resized, "", constant.name])
        graph.node.remove(join)
        if not _used(graph, shape.output[0]):
            graph.node.remove(shape)
        changed += 1
    return changed


def _repeats_batch(graph: onnx.GraphProto, resize: onnx.NodeProto, join: onnx.NodeProto, shape: onnx.NodeProto) -> bool:
    bounds = {attribute.name: attribute.i for attribute in shape.attribute}
    first_two = shape.op_type == "Shape" and bounds.get("start", 0) == 0 and bounds.get("end") == 2
    alone = _used(graph, join.output[0]) == 1
    return first_two and alone and len(join.input) == 2 and shape.input[0] == resize.input[0]


def _used(graph: onnx.GraphProto, name: str) -> int:
    """Return how many nodes and outputs take a value."""
    return sum(name in user.input for user in graph.node) + sum(name == output.name for output in graph.output)


def _exact_scales(source: list[int], target: list[int]) -> list[np.float32] | None:
    scales = [np.float32(to / length) for length, to in zip(source, target, strict=True)]
    exact = all(float(scale) * length == to for scale, length, to in zip(scales, source, target, strict=True))
    return scales if exact else None
