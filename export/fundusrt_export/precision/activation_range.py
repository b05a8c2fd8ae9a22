"""How large every tensor of a network becomes on real tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fundusrt.backends.base import Array
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt_export.errors import ExportError
from fundusrt_export.precision.typed_graph import element_types

__all__ = ["audit_ranges", "largest_weights"]

MOST_BYTES = 256 * 2**20
"""Of activations held at once: the network runs again for the next ones."""


@dataclass(frozen=True)
class _Probe:
    """A tensor to look at and its bytes for one tile."""

    name: str
    nbytes: int


def audit_ranges(
    model: onnx.ModelProto, tiles: Array, *, most_bytes: int = MOST_BYTES, threads: int | None = None
) -> dict[str, float]:
    """Return max |x| of the input and of every float32 activation over the tiles, by tensor name.

    The float32 network runs on one tile at a time with a bounded part of its activations as outputs, as often as it
    takes to see all of them.

    Args:
        model: float32, one input and one output.
        tiles: (N, C, H, W) float32, finite.
        most_bytes: of activations held at once.
        threads: of ONNX Runtime, None for one per core.

    Raises:
        ExportError: an activation is not finite in float32; the tensor is named.
    """
    feed = model.graph.input[0].name
    ranges = {feed: float(np.abs(tiles).max(initial=0.0))}
    for part in _parts(_probes(model, tiles.shape[1:]), most_bytes):
        probed = onnx.ModelProto()
        probed.CopyFrom(model)
        del probed.graph.output[:], probed.graph.value_info[:]
        for probe in part:
            probed.graph.output.append(helper.make_tensor_value_info(probe.name, TensorProto.FLOAT, None))
        session = OnnxRuntimeSession(probed.SerializeToString(), source="network under audit", threads=threads)
        for tile in tiles:
            for name, values in session.run({feed: tile[None]}).items():
                largest = float(np.abs(values).max(initial=0.0))
                if not np.isfinite(largest):
                    raise ExportError(
                        f"activation {name}",
                        got="NaN or infinity in float32",
                        expected="finite values on every tile",
                        fix="repair the network or the tiles; no precision can hold this",
                    )
                ranges[name] = max(ranges.get(name, 0.0), largest)
    return ranges


def largest_weights(model: onnx.ModelProto) -> dict[str, float]:
    """Return max |w| of every float32 initialiser by name."""
    return {
        tensor.name: float(np.abs(numpy_helper.to_array(tensor)).max(initial=0.0))
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
    }


def _probes(model: onnx.ModelProto, tile: Sequence[int]) -> list[_Probe]:
    """Return every float32 activation in order; its size for one tile, or the tile's own where it is not known."""
    types = element_types(model)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {value.name: value.type.tensor_type.shape for value in (*inferred.value_info, *inferred.output)}
    probes: list[_Probe] = []
    for node in model.graph.node:
        for name in node.output:
            if types.get(name) != TensorProto.FLOAT:
                continue
            sizes = [size.dim_value or 1 for size in shapes[name].dim] if name in shapes else list(tile)
            probes.append(_Probe(name, 4 * int(np.prod(sizes, dtype=np.int64))))
    return probes


def _parts(probes: Sequence[_Probe], most_bytes: int) -> Iterator[list[_Probe]]:
    part: list[_Probe] = []
    for probe in probes:
        if part and sum(held.nbytes for held in part) + probe.nbytes > most_bytes:
            yield part
            part = []
        part.append(probe)
    if part:
        yield part
