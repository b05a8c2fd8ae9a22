"""Which nodes stay in float32 although the file is fp16 or bf16, and why.

The rules, the first that applies names the reason:

* `head`: the last convolution before each output and everything behind it. Masks are cut from these values.
* `statistics`: reductions, roots, quotients, and the element-wise arithmetic around them: the squares that are
  averaged, the scale and shift made of them, their use. A mean over 512 x 512 values does not fit eleven bits.
* `range`: |x| above half of the type's largest value in any input, output or weight. Half, because an unseen image may
  be brighter than the audited ones.
* `underflow`: an input, output or weight whose largest |x| is below the type's smallest normal value, such as the
  epsilon of a guided filter.
* `type`: the operator does not take the type.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import onnx

from fundusrt_export.precision.report import KeptNode, Reason
from fundusrt_export.precision.typed_graph import ReducedType, reducible

__all__ = ["WEIGHTED", "head_nodes", "kept_nodes", "pooled_tensors"]

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators with weights: where one layer ends and the next begins."""

_REDUCTIONS = frozenset({"GlobalAveragePool", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare"})
_DELICATE = frozenset(
    {"Div", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Pow", "Reciprocal", "Softmax", "Sqrt"}
)
_ARITHMETIC = frozenset({"Abs", "Add", "Mul", "Neg", "Relu", "Reshape", "Sub", "Transpose", "Unsqueeze"})
"""Cheap beside a convolution: computed in float32 it costs a Cast, which runtimes fuse into it."""

_SMALLEST_NORMAL = 2.0**-14  # of float16


def kept_nodes(model: onnx.ModelProto, largest: Mapping[str, float], reduced: ReducedType) -> tuple[KeptNode, ...]:
    """Return the nodes that stay in float32, in the order of the graph.

    Args:
        model: float32, with named nodes.
        largest: max |x| of activations and weights by name (`activation_range`).
        reduced: the type of the other nodes.
    """
    head, statistics = head_nodes(model), _statistics(model)
    kept: list[KeptNode] = []
    for node in model.graph.node:
        reason = _why(node, model, largest, reduced, head, statistics)
        if reason is not None:
            kept.append(KeptNode(node.name, node.op_type, *reason))
    return tuple(kept)


def _why(
    node: onnx.NodeProto,
    model: onnx.ModelProto,
    largest: Mapping[str, float],
    reduced: ReducedType,
    head: frozenset[str],
    statistics: frozenset[str],
) -> tuple[Reason, str] | None:
    if not reducible(node, model, reduced):
        return "type", f"{node.op_type} does not take {reduced.name}"
    if node.name in head:
        return "head", "decides the answer"
    if node.name in statistics:
        return "statistics", "part of a mean, a variance or what is made of them"
    if reduced.largest is None:
        return None
    sizes = [(name, largest[name]) for name in (*node.input, *node.output) if name in largest]
    for name, size in sizes:
        if size > reduced.largest / 2:
            return "range", f"{name} reaches {size:.4g}; at most {reduced.largest / 2:.6g} is safe"
    for name, size in sizes:
        if 0.0 < size < _SMALLEST_NORMAL:
            return "underflow", f"{name} stays below {size:.3g}; {_SMALLEST_NORMAL:.3g} is the smallest normal value"
    return None


def head_nodes(model: onnx.ModelProto) -> frozenset[str]:
    """Return the nodes between the last convolutions, these included, and the outputs."""
    maker = {name: node for node in model.graph.node for name in node.output}
    waiting = [value.name for value in model.graph.output]
    head: set[str] = set()
    while waiting:
        node = maker.get(waiting.pop())
        if node is None or node.name in head:
            continue
        head.add(node.name)
        if node.op_type not in WEIGHTED:
            waiting.extend(node.input)
    return frozenset(head)


def pooled_tensors(model: onnx.ModelProto) -> frozenset[str]:
    """Return the tensors (N, C, 1, 1) by shape inference: one value a channel, as of channel attention."""
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    sizes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in inferred}
    return frozenset(name for name, shape in sizes.items() if len(shape) == 4 and shape[2:] == [1, 1])


def _statistics(model: onnx.ModelProto) -> frozenset[str]:
    """Return the statistics and the arithmetic that feeds nothing else, uses nothing else, or applies them.

    Forwards: a node of cheap arithmetic with an operand that is a statistic (a mean to subtract, a scale to multiply).
    Backwards: one all of whose results go to statistics (a square that is averaged).
    """
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            users[name].append(node)
    found = {node.name for node in model.graph.node if node.op_type in _REDUCTIONS | _DELICATE}
    # Tensors that are statistics: what a reduction gives, and what arithmetic makes of nothing but statistics.
    values = {name for node in model.graph.node if node.op_type in _REDUCTIONS for name in node.output}
    weights = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        given = [name for name in node.input if name]
        if node.op_type in _ARITHMETIC | _DELICATE and any(name in values for name in given):
            found.add(node.name)
            if all(name in values or name in weights for name in given):
                values.update(node.output)
    for node in reversed(model.graph.node):
        following = users[node.output[0]]
        if node.op_type in _ARITHMETIC and following and all(user.name in found for user in following):
            found.add(node.name)
    return frozenset(found)
