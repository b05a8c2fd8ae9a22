"""Nodes in a reduced float type, with Casts where types meet: the one graph rewrite behind fp16 and bf16."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from fundusrt_export.errors import ExportError

__all__ = ["BF16", "FP16", "ReducedType", "element_types", "in_reduced_type", "reducible", "with_operators_for"]


@dataclass(frozen=True)
class ReducedType:
    """A float type of two bytes.

    Attributes:
        name: as in file names and options.
        element_type: `onnx.TensorProto` element type.
        constraint: as in the type constraints of operator schemas.
        opset: the first operator set whose convolution takes it.
        largest: largest finite value, or None where it is float32's.
    """

    name: str
    element_type: int
    constraint: str
    opset: int
    largest: float | None


FP16 = ReducedType("fp16", TensorProto.FLOAT16, "tensor(float16)", 11, 65504.0)
BF16 = ReducedType("bf16", TensorProto.BFLOAT16, "tensor(bfloat16)", 22, None)


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element type of every tensor by name: inputs, initialisers, outputs of nodes.

    Raises:
        ExportError: shapes and types cannot be inferred.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise ExportError(
            "network to reduce", got=str(error).splitlines()[0], expected="a graph whose types can be inferred"
        ) from error
    types = {tensor.name: tensor.data_type for tensor in inferred.initializer}
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    types |= {value.name: value.type.tensor_type.elem_type for value in values}
    return types


def with_operators_for(model: onnx.ModelProto, reduced: ReducedType) -> onnx.ModelProto:
    """Return a copy of the model in an operator set that knows the type; the same function, in float32 still."""
    if _opset(model) >= reduced.opset:
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        return copied
    converted = version_converter.convert_version(model, reduced.opset)
    # The converter names the values it touches itself only where it replaces a node; none of ours is replaced.
    del converted.graph.value_info[:]
    return converted


def reducible(node: onnx.NodeProto, model: onnx.ModelProto, reduced: ReducedType) -> bool:
    """Whether the operator's schema lets its float data, in and out, be of the reduced type."""
    if node.domain or any(attribute.g.node or attribute.graphs for attribute in node.attribute):
        return False
    if not onnx.defs.has(node.op_type, _opset(model)):
        return False
    schema = onnx.defs.get_schema(node.op_type, _opset(model))
    if not schema.inputs or not schema.outputs:
        return False
    data = schema.outputs[0]
    return data.type_str in {given.type_str for given in schema.inputs} and reduced.constraint in data.types


def in_reduced_type(model: onnx.ModelProto, nodes: Set[str], reduced: ReducedType) -> onnx.ModelProto:
    """Return the model with the named nodes computing in a reduced type.

    A tensor has the type of the node that makes it; a Cast, shared by all who need it, follows where a consumer has
    the other type. Weights of reduced nodes are stored in the reduced type; one that a float32 node needs too is stored
    twice. Inputs and outputs of the graph stay float32.

    Args:
        model: float32, topologically sorted, with named nodes; already in an operator set of `with_operators_for`.
        nodes: names of the nodes to reduce; all `reducible`.
        reduced: the type.

    Raises:
        ExportError: a weight does not fit into the type.
    """
    types = element_types(model)
    graph = model.graph
    outputs = {value.name for value in graph.output}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    made_reduced: set[str] = set()
    casts: dict[tuple[str, int], str] = {}
    rewritten: list[onnx.NodeProto] = []
    full_precision: set[str] = set()
    reduced_weights: dict[str, str] = {}

    def cast(name: str, element_type: int) -> str:
        """Return the name of a tensor in the other type, made by a Cast the first time."""
        key = (name, element_type)
        if key not in casts:
            casts[key] = f"{name}_{TensorProto.DataType.Name(element_type).lower()}"
            rewritten.append(helper.make_node("Cast", [name], [casts[key]], name=f"Cast_{casts[key]}", to=element_type))
        return casts[key]

    for original in graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        wants = _data_inputs(node, model, reduced) if node.name in nodes else set[int]()
        for index, name in enumerate(node.input):
            if types.get(name) != TensorProto.FLOAT:
                continue
            if index in wants:
                if name in weights:
                    node.input[index] = reduced_weights.setdefault(name, f"{name}_{reduced.name}")
                elif name not in made_reduced:
                    node.input[index] = cast(name, reduced.element_type)
            elif name in weights:
                full_precision.add(name)
            elif name in made_reduced:
                node.input[index] = cast(name, TensorProto.FLOAT)
        rewritten.append(node)
        if node.name in nodes:
            for index, name in enumerate(node.output):
                if types.get(name) != TensorProto.FLOAT:
                    continue
                if name in outputs:
                    node.output[index] = f"{name}_{reduced.name}"
                    rewritten.append(
                        helper.make_node(
                            "Cast", [node.output[index]], [name], name=f"Cast_{name}", to=TensorProto.FLOAT
                        )
                    )
                else:
                    made_reduced.add(name)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:], result.graph.initializer[:], result.graph.value_info[:]
    result.graph.node.extend(rewritten)
    for tensor in graph.initializer:
        if tensor.name in reduced_weights:
            result.graph.initializer.append(_reduced_weight(tensor, reduced_weights[tensor.name], reduced))
        if tensor.name in full_precision or tensor.name not in reduced_weights:
            result.graph.initializer.append(tensor)
    return result


def _data_inputs(node: onnx.NodeProto, model: onnx.ModelProto, reduced: ReducedType) -> set[int]:
    """Return the inputs that share the type of the node's output; not the scales of a Resize, which stay float32."""
    schema = onnx.defs.get_schema(node.op_type, _opset(model))
    data = schema.outputs[0].type_str
    last = len(schema.inputs) - 1
    return {index for index in range(len(node.input)) if schema.inputs[min(index, last)].type_str == data}


def _reduced_weight(tensor: onnx.TensorProto, name: str, reduced: ReducedType) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        narrow = values.astype(helper.tensor_dtype_to_np_dtype(reduced.element_type))
    if not np.isfinite(narrow.astype(np.float32)).all():
        raise ExportError(
            f"weight {tensor.name}",
            got=f"values up to {float(np.abs(values).max()):.3g}",
            expected=f"finite values in {reduced.name}",
            fix="keep the nodes that use it in float32",
        )
    return numpy_helper.from_array(narrow, name)


def _opset(model: onnx.ModelProto) -> int:
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
