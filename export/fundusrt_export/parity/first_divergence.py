"""The first value of a graph that is not what PyTorch, or another graph of the same network, computes.

Values are recognised, not paired by name: a value of the graph is *confirmed* where the reference has the same numbers
in the same order. A rewrite may compute a layer in steps that the reference does not have; such a value is sound where
a value made of it, and no smaller, is confirmed (a mean of it would tell nothing), unless the reference computes from
the same inputs, as its very next step, something of that size that the graph has nowhere: a factor that the next
normalisation undoes is at fault all the same. The first value that is neither is where the graph leaves the reference.
All values are looked at, in the graph's order: a fault may be hidden further on (a clipped value, an unused channel),
so that bisection would step over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from fundusrt_export.parity.tensor_trace import TracedTensor, onnx_values

__all__ = ["TENSOR_LIMIT", "Divergence", "first_divergence"]

TENSOR_LIMIT = 1e-5
"""Relative to a value's largest number: ten times the rounding seen in float32, a tenth of what a rung allows."""

_SAMPLES = 256  # numbers that are compared before all are

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Divergence:
    """Where a graph leaves its reference.

    Attributes:
        tensor: name of the diverging value in the graph.
        node: name of the node that computes it.
        operator: of the node.
        layer: of the reference: path of the module, or name of the node.
        difference: largest |made - expected| over the largest |expected|; infinity where they do not compare.
        limit: what it had to stay below.
        graph: the smallest ONNX file that shows it.
        feeds: its inputs by name.
        expected: of the reference.
        made: by the graph.
    """

    tensor: str
    node: str
    operator: str
    layer: str
    difference: float
    limit: float
    graph: bytes
    feeds: dict[str, Values]
    expected: Values
    made: Values


def first_divergence(
    reference: Sequence[TracedTensor], content: bytes, feed: npt.NDArray[np.float32], limit: float = TENSOR_LIMIT
) -> Divergence | None:
    """Return the first diverging value, or None where the graph's answer is what the reference says.

    Where only the answer differs, but no value does once all are observed, the whole graph is returned: then it is
    what the runtime fuses that is at fault.

    Args:
        reference: `trace_module` or `trace_onnx` on the same input; its last value is the answer.
        content: a self-contained ONNX file with one input.
        feed: (N, C, h, w).
        limit: relative difference from which a value counts as another one.
    """
    model = onnx.load_model_from_string(content)
    graph = model.graph
    found = _recognise(reference, model, feed, limit)
    for node in graph.node:
        step = _next_step(node, graph, found)
        missed = reference[step].values.size if 0 <= step < len(reference) and step not in found.known else -1
        for name in node.output:
            # What is new in the graph only, or nothing new at all: a layer that does nothing repeats its input.
            replaced = found.places.get(name, -1) < step and found.sizes.get(name) == missed
            if name and (name not in found.sound or replaced):
                return _at_node(model, node, name, reference, found, feed, limit)
    made = _answer(content, feed)
    difference = _relative(reference[-1].values, made)
    if difference <= limit:
        return None
    last = next(node for node in graph.node if graph.output[0].name in node.output)
    feeds = {graph.input[0].name: feed}
    return Divergence(
        graph.output[0].name,
        last.name,
        last.op_type,
        reference[-1].layer,
        difference,
        limit,
        content,
        feeds,
        reference[-1].values,
        made,
    )


@dataclass
class _Recognised:
    """What is known of a graph's values.

    Attributes:
        places: of each confirmed value in the reference; of equal values in a row, the last.
        known: places of the reference whose value the graph has.
        sizes: of each value.
        sound: values that are confirmed, or that a confirmed one is made of.
    """

    places: dict[str, int]
    known: set[int]
    sizes: dict[str, int]
    sound: set[str]


def _recognise(
    reference: Sequence[TracedTensor], model: onnx.ModelProto, feed: npt.NDArray[np.float32], limit: float
) -> _Recognised:
    graph = model.graph
    found = _Recognised({}, set(), {}, set())
    by_size: dict[int, list[int]] = {}
    for index, traced in enumerate(reference):
        by_size.setdefault(traced.values.size, []).append(index)

    def recognise(name: str, values: Values) -> None:
        found.sizes[name] = values.size
        if not np.issubdtype(values.dtype, np.floating):
            found.sound.add(name)
            return
        equal = [i for i in by_size.get(values.size, ()) if _relative(reference[i].values, values) <= limit]
        if equal:
            place = equal[0]
            while place + 1 in equal:
                place += 1
            found.places[name] = place
            found.known.update(equal)
            found.sound.add(name)

    recognise(graph.input[0].name, feed)
    found.places.setdefault(graph.input[0].name, -1)
    for name, values in onnx_values(model, [name for node in graph.node for name in node.output], feed):
        recognise(name, values)
    for node in reversed(graph.node):
        confirmed = max((found.sizes[name] for name in node.output if name in found.sound), default=-1)
        found.sound.update(name for name in node.input if found.sizes.get(name, 0) <= confirmed)
    return found


def _next_step(node: onnx.NodeProto, graph: onnx.GraphProto, found: _Recognised) -> int:
    """Return the place in the reference right after the last of a node's inputs; -1 where one has no place there."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [name for name in node.input if name and name not in constants]
    if not inputs or not all(name in found.places for name in inputs):
        return -1
    return max(found.places[name] for name in inputs) + 1


def _at_node(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    name: str,
    reference: Sequence[TracedTensor],
    found: _Recognised,
    feed: npt.NDArray[np.float32],
    limit: float,
) -> Divergence:
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    computed = {output for each in graph.node for output in each.output}
    inputs = list(dict.fromkeys(value for value in node.input if value and value not in constants))
    values = dict(onnx_values(model, [*(value for value in inputs if value in computed), name], feed))
    feeds = {value: values.get(value, feed) for value in inputs}
    made = values[name]
    expected = _expected(reference, made, found, inputs)
    return Divergence(
        tensor=name,
        node=node.name,
        operator=node.op_type,
        layer=expected.layer,
        difference=_relative(expected.values, made),
        limit=limit,
        graph=_alone(model, node, feeds, name),
        feeds=feeds,
        expected=expected.values,
        made=made,
    )


def _expected(
    reference: Sequence[TracedTensor], made: Values, found: _Recognised, inputs: Sequence[str]
) -> TracedTensor:
    """Return what the reference computes there: its next value of this size that the graph has nowhere."""
    after = max((found.places[name] for name in inputs if name in found.places), default=-1)
    later = [traced for index, traced in enumerate(reference) if index > after and index not in found.known]
    same_size = [traced for traced in later if traced.values.size == made.size]
    return next(iter([*same_size, *later, reference[-1]]))


def _alone(model: onnx.ModelProto, node: onnx.NodeProto, feeds: dict[str, Values], output: str) -> bytes:
    """Return a model of one node, its constants inside, its other inputs of the shapes they have here."""
    alone = onnx.ModelProto()
    alone.ir_version = model.ir_version
    alone.opset_import.extend(model.opset_import)
    alone.graph.name = "divergence"
    alone.graph.node.append(node)
    alone.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in node.input)
    for name, values in feeds.items():
        kind = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
        alone.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, values.shape))
    alone.graph.output.append(onnx.helper.make_empty_tensor_value_info(output))
    return alone.SerializeToString(deterministic=True)


def _answer(content: bytes, feed: npt.NDArray[np.float32]) -> Values:
    """As it is deployed: with nothing observed but the answer."""
    model = onnx.load_model_from_string(content)
    ((_, made),) = onnx_values(model, [model.graph.output[0].name], feed)
    return made


def _relative(expected: Values, made: Values) -> float:
    """Compare in order, whatever the shapes; a few numbers first."""
    if expected.size != made.size or not expected.size:
        return float("inf")
    a, b = expected.reshape(-1), made.reshape(-1)
    scale = max(float(np.abs(a).max()), float(np.finfo(np.float32).tiny))
    step = max(1, a.size // _SAMPLES)
    rough = float(np.abs(a[::step] - b[::step].astype(np.float32)).max()) / scale
    if not rough <= 1.0:
        return rough if np.isfinite(rough) else float("inf")
    difference = float(np.abs(a - b.astype(np.float32)).max()) / scale
    return difference if np.isfinite(difference) else float("inf")
