"""The probability of class 1 of two without a Softmax and a Slice: a Sigmoid of the difference of their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fundusrt_export.passes.known_shapes import known_shapes

__all__ = ["binary_softmax"]


@dataclass(frozen=True)
class _Head:
    """A head of two classes: convolution, at most one resize, softmax, slice."""

    conv: onnx.NodeProto
    resize: onnx.NodeProto | None
    softmax: onnx.NodeProto
    slice: onnx.NodeProto
    chosen: int


def binary_softmax(model: onnx.ModelProto) -> int:
    """Turn Conv to 2 channels, (Resize,) Softmax, Slice of one channel into Conv to 1 channel, (Resize,) Sigmoid.

        softmax(z)[1] = 1 / (1 + exp(z0 - z1)) = sigmoid(z1 - z0)

    The difference is taken in the weights, w1 - w0 and b1 - b0, and a resize is linear and treats channels alike: half
    the values are resized.

    Legal when all of these hold:

    1. the Slice takes one channel of axis 1 by constants, step 1; the Softmax is over axis 1 of two channels; between
       Conv and Softmax there is nothing, or one Resize of mode `linear` or `nearest` by scales whose first two are 1;
    2. each of these results is used by the next node alone, and none but the last is an output of the graph;
    3. the Conv has constant float32 weights of two output channels, one group, and a constant bias or none.

    Otherwise (three classes, a result used elsewhere) the nodes stay. Equal up to float32 rounding.

    Returns:
        Number of heads changed.
    """
    graph = model.graph
    shapes = known_shapes(model)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    changed = 0
    for node in [node for node in graph.node if node.op_type == "Slice"]:
        head = _head(graph, node, constants, shapes)
        if head is None:
            continue
        for place in (1, 2):
            if place < len(head.conv.input):
                old = numpy_helper.to_array(constants[head.conv.input[place]])
                new = numpy_helper.from_array(_difference(old, head.chosen), f"{head.conv.input[place]}_difference")
                graph.initializer.append(new)
                head.conv.input[place] = new.name
        sigmoid = helper.make_node("Sigmoid", [head.softmax.input[0]], [head.slice.output[0]])
        graph.node.insert(list(graph.node).index(head.softmax), sigmoid)
        graph.node.remove(head.softmax)
        graph.node.remove(head.slice)
        del graph.value_info[:]  # the channels they state are no longer right
        changed += 1
    return changed


def _difference(values: np.ndarray, chosen: int) -> np.ndarray:
    wide = values.astype(np.float64)
    return (wide[chosen : chosen + 1] - wide[1 - chosen : 2 - chosen]).astype(np.float32)


def _head(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    constants: dict[str, onnx.TensorProto],
    shapes: dict[str, list[int | str]],
) -> _Head | None:
    chosen = _chosen(node, constants)
    softmax = _source(graph, node, "Softmax")
    if chosen is None or softmax is None or shapes.get(softmax.input[0], [])[1:2] != [2]:
        return None  # case 1
    axis = next((attribute.i for attribute in softmax.attribute if attribute.name == "axis"), -1)
    resize = _source(graph, softmax, "Resize")
    conv = _source(graph, resize or softmax, "Conv")
    if axis != 1 or conv is None or (resize is not None and not _keeps_channels(resize, constants)):
        return None  # cases 1 and 2
    given = [constants.get(name) for name in conv.input[1:]]
    grouped = any(attribute.name == "group" and attribute.i != 1 for attribute in conv.attribute)
    if grouped or any(each is None or each.data_type != onnx.TensorProto.FLOAT or each.dims[0] != 2 for each in given):
        return None  # case 3
    return _Head(conv, resize, softmax, node, chosen)


def _chosen(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> int | None:
    """Return the channel that a Slice takes, 0 or 1."""
    given = [constants.get(name) for name in node.input[1:]]
    if len(given) < 3 or any(each is None for each in given):
        return None
    values = [numpy_helper.to_array(each).tolist() for each in given if each is not None]
    start, end, axes, steps = (*values, [1])[:4]
    plain = axes == [1] and steps == [1] and len(start) == 1 and start[0] in (0, 1)
    return start[0] if plain and min(end[0], 2) == start[0] + 1 else None


def _source(graph: onnx.GraphProto, node: onnx.NodeProto, kind: str) -> onnx.NodeProto | None:
    """Return the node of a kind that makes the first input of `node`, if it is used there alone."""
    name = node.input[0]
    users = sum(name in user.input for user in graph.node) + sum(name == output.name for output in graph.output)
    maker = next((each for each in graph.node if name in each.output), None)
    return maker if maker is not None and maker.op_type == kind and users == 1 else None


def _keeps_channels(resize: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    modes = [attribute.s for attribute in resize.attribute if attribute.name == "mode"]
    scales = constants.get(resize.input[2]) if len(resize.input) == 3 else None
    if modes not in ([b"linear"], [b"nearest"]) or scales is None:
        return False
    return numpy_helper.to_array(scales)[:2].tolist() == [1.0, 1.0]
