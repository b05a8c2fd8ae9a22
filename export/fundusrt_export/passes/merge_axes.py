"""Split an image in halves with 4-D reshapes: axes that a transpose leaves together are one axis."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["merge_axes"]


def merge_axes(model: onnx.ModelProto) -> int:
    """Lower the rank of a Reshape, Transpose, Reshape by merging neighbouring axes that stay neighbours.

    Halves on the batch axis are traced as (N, C, H, W) -> (N, C, 2, H/2, W) -> transposed to (N, 2, C, H/2, W) ->
    (2N, C, H/2, W). H/2 and W stay together, so that (N, C, 2, H/2 W) -> (N, 2, C, H/2 W) moves the same numbers, in
    four dimensions: fewer than five is what every runtime transposes fast.

    Legal when all of these hold:

    1. the first Reshape's result is used by the Transpose alone, the Transpose's by the second Reshape alone, and
       neither is an output of the graph;
    2. both targets are constants; the first has no 0 (so that allowzero does not matter), and -1, if any, for its first
       length;
    3. the second target has no 0 (it would copy a length that merging changes);
    4. the permutation is given and leaves some neighbouring axes together in their order, the first axis (whose length
       may be -1) not among them.

    Otherwise the nodes stay. Moves the same values: no result changes by a bit.

    Returns:
        Number of Transpose nodes changed.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    outputs = {output.name for output in graph.output}
    changed = 0
    for node in [node for node in graph.node if node.op_type == "Transpose"]:
        before = made_by.get(node.input[0])
        users = [user for user in graph.node if node.output[0] in user.input]
        if before is None or before.op_type != "Reshape" or len(users) != 1 or users[0].op_type != "Reshape":
            continue  # case 1
        alone = sum(node.input[0] in user.input for user in graph.node) == 1
        if not alone or outputs & {node.input[0], node.output[0]} or users[0].input[0] != node.output[0]:
            continue  # case 1
        first, second = (constants.get(each.input[1]) for each in (before, users[0]))
        if first is None or second is None or 0 in first or -1 in first[1:]:
            continue  # case 2
        if 0 in second:
            continue  # case 3
        permutation = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
        groups = _groups(permutation)
        if len(groups) == len(permutation):
            continue  # case 4
        order = sorted(range(len(groups)), key=lambda k: groups[k][0])  # the groups as the input has them
        lengths = [math.prod(int(first[axis]) for axis in groups[k]) for k in order]
        constant = numpy_helper.from_array(np.array(lengths, np.int64), f"{before.input[1]}_{node.output[0]}_merged")
        graph.initializer.append(constant)
        before.input[1] = constant.name
        del node.attribute[:]
        node.attribute.append(onnx.helper.make_attribute("perm", [order.index(k) for k in range(len(groups))]))
        stale = {node.input[0], node.output[0]}  # their shapes as traced, which a checker would compare
        for recorded in [value for value in graph.value_info if value.name in stale]:
            graph.value_info.remove(recorded)
        changed += 1
    return changed


def _groups(permutation: list[int]) -> list[list[int]]:
    """Return the runs of axes that follow each other before and after; the first axis stays by itself."""
    groups: list[list[int]] = []
    for axis in permutation:
        if groups and axis == groups[-1][-1] + 1 and groups[-1][-1] != 0:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups
