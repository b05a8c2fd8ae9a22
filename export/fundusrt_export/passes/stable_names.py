"""Give nodes and values names that depend on the graph alone."""

from __future__ import annotations

from collections import Counter

import onnx

__all__ = ["stable_names"]


def stable_names(model: onnx.ModelProto, *, prefix: str = "network.") -> int:
    """Rename nodes, intermediate values and constants, and put initialisers in order of first use.

    The exporter numbers them from a counter that depends on what it did before. Here node k of an operator is
    `Conv_k`, its output `Conv_k_out`; a trained parameter keeps its name in the checkpoint; other constants are
    `constant_k`, and equal ones become one. Graph inputs and outputs keep their names.

    Legal cases: 1. always, for graphs without subgraphs. Declines (raises nothing, changes nothing) if a node has one.

    Args:
        model: changed in place.
        prefix: of parameter names, removed.

    Returns:
        Number of names changed.
    """
    graph = model.graph
    if any(attribute.g.node or attribute.graphs for node in graph.node for attribute in node.attribute):
        return 0
    names: dict[str, str] = {}
    public = {value.name for value in (*graph.input, *graph.output)}
    initialisers = {initialiser.name: initialiser for initialiser in graph.initializer}
    kinds: Counter[str] = Counter()
    ordered: list[onnx.TensorProto] = []
    seen: dict[bytes, str] = {}
    for node in graph.node:
        for name in node.input:
            if name in initialisers and name not in names:
                names[name] = _initialiser_name(initialisers[name], prefix, seen, ordered)
        node.name = f"{node.op_type}_{kinds[node.op_type]}"
        kinds[node.op_type] += 1
        for index, name in enumerate(node.output):
            if name and name not in public:
                names[name] = f"{node.name}_out" + (f"_{index}" if index else "")
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    del graph.initializer[:]
    graph.initializer.extend(ordered)
    # Inferred shapes of intermediate values are optional; runtimes infer them again.
    del graph.value_info[:]
    return sum(old != new for old, new in names.items())


def _initialiser_name(
    initialiser: onnx.TensorProto, prefix: str, seen: dict[bytes, str], ordered: list[onnx.TensorProto]
) -> str:
    if initialiser.name.startswith(prefix):
        name = initialiser.name.removeprefix(prefix)
    else:
        nameless = onnx.TensorProto()
        nameless.CopyFrom(initialiser)
        nameless.ClearField("name")
        content = nameless.SerializeToString(deterministic=True)
        if content in seen:
            return seen[content]
        name = seen[content] = f"constant_{len(seen)}"
    kept = onnx.TensorProto()
    kept.CopyFrom(initialiser)
    kept.name = name
    ordered.append(kept)
    return name
