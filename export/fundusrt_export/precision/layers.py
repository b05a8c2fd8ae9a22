"""What accuracy control puts back at once: a convolution with the cheap operators behind it."""

from __future__ import annotations

from collections.abc import Set

import onnx

from fundusrt_export.precision.keep_list import WEIGHTED

__all__ = ["layers_of"]


def layers_of(model: onnx.ModelProto, nodes: Set[str]) -> dict[str, tuple[str, ...]]:
    """Return the given nodes by layer, in the order of the graph.

    A layer is named after its operator with weights; every other node belongs to the latest such operator before it.
    What lies before all of them is the layer `input`.

    Args:
        model: topologically sorted, with named nodes.
        nodes: names of the nodes to divide among layers.
    """
    position: dict[str, int] = {}  # of the layer's operator, by tensor
    names = ["input"]
    layers: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type in WEIGHTED:
            names.append(node.name)
            latest = len(names) - 1
        else:
            latest = max((position.get(name, 0) for name in node.input), default=0)
        position.update(dict.fromkeys(node.output, latest))
        if node.name in nodes:
            layers.setdefault(names[latest], []).append(node.name)
    return {name: tuple(layers[name]) for name in names if name in layers}
