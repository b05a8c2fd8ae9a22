"""Several graphs of one network with their large tensors in one file.

The forms of a network differ in a few nodes and hold the same weights. Each tensor from `LEAST_BYTES` on moves to the
weights file, and equal contents are stored once; `fundusrt.onnx_weights` puts them back. One file for each network, not
one for the bundle: two networks share no weights, and who embeds one of them reads no more than it needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from fundusrt.onnx_weights import inline_weights
from fundusrt_export.errors import ExportError

__all__ = ["ALIGNMENT", "LEAST_BYTES", "share_weights"]

LEAST_BYTES = 1024
"""Smaller tensors stay in the graph: a reference takes about 100 bytes itself."""

ALIGNMENT = 64
"""Of each tensor in the weights file: a cache line, and what vector instructions want of a mapped file."""


def share_weights(graphs: Mapping[str, bytes], name: str) -> tuple[dict[str, bytes], bytes]:
    """Move the large initialisers of several ONNX files into one weights file.

    Args:
        graphs: self-contained ONNX files by name.
        name: of the weights file, which lies beside them.

    Returns:
        The graphs with references, and the weights. The same graphs give the same bytes.

    Raises:
        ExportError: the SDK would not read back the very tensors.
    """
    places: dict[str, int] = {}
    weights = bytearray()
    shared: dict[str, bytes] = {}
    for file in graphs:
        model = onnx.load_model_from_string(graphs[file])
        for tensor in model.graph.initializer:
            _move(tensor, name, places, weights)
        shared[file] = model.SerializeToString(deterministic=True)
    content = bytes(weights)
    for file, graph in shared.items():
        _require_equal(graphs[file], inline_weights(graph, name, content, file), file)
    return shared, content


def _move(tensor: TensorProto, name: str, places: dict[str, int], weights: bytearray) -> None:
    data = np.ascontiguousarray(numpy_helper.to_array(tensor)).tobytes()  # little-endian, as raw_data is
    if len(data) < LEAST_BYTES:
        return
    digest = hashlib.sha256(data).hexdigest()
    if digest not in places:
        weights.extend(bytes(-len(weights) % ALIGNMENT))
        places[digest] = len(weights)
        weights.extend(data)
    named, kind, dims = tensor.name, tensor.data_type, list(tensor.dims)
    tensor.Clear()
    tensor.name, tensor.data_type, tensor.data_location = named, kind, TensorProto.EXTERNAL
    tensor.dims.extend(dims)
    for key, value in (("location", name), ("offset", str(places[digest])), ("length", str(len(data)))):
        tensor.external_data.add(key=key, value=value)


def _require_equal(original: bytes, read: bytes, file: str) -> None:
    one, other = (onnx.load_model_from_string(content) for content in (original, read))
    pairs = list(zip(one.graph.initializer, other.graph.initializer, strict=True))
    same = all(
        a.name == b.name and np.array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b)) for a, b in pairs
    )
    for model in (one, other):
        del model.graph.initializer[:]
    if not same or one.SerializeToString(deterministic=True) != other.SerializeToString(deterministic=True):
        raise ExportError(file, got="other tensors or nodes after sharing weights", expected="the same model")
