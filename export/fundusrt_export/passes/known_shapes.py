"""Shapes of a graph's values, as far as inference knows them."""

from __future__ import annotations

import onnx

__all__ = ["known_shapes"]


def known_shapes(model: onnx.ModelProto) -> dict[str, list[int | str]]:
    """Return the shape of each value: a number, a symbol, or "" where nothing is known."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    shapes: dict[str, list[int | str]] = {}
    for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        if value.type.tensor_type.HasField("shape"):
            sizes = value.type.tensor_type.shape.dim
            shapes[value.name] = [size.dim_value if size.HasField("dim_value") else size.dim_param for size in sizes]
    return shapes
