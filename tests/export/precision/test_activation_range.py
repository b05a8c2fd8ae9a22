"""The audit sees every tensor, whatever it holds at once, and refuses what float32 itself cannot hold."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fundusrt_export.errors import ExportError
from fundusrt_export.precision.activation_range import audit_ranges, largest_weights
from tests.export.precision.small_network import segmenter, tiles

MODEL = onnx.load_model_from_string(segmenter())


def test_every_activation_and_the_input() -> None:
    values = tiles(3)
    ranges = audit_ranges(MODEL, values, threads=1)
    assert set(ranges) == {"image"} | {name for node in MODEL.graph.node for name in node.output}
    assert ranges["image"] == values.max()
    assert 0.5 < ranges["answer"] <= 1.0


def test_the_largest_of_all_tiles_counts() -> None:
    values = tiles(3)
    single = [audit_ranges(MODEL, tile[None], threads=1) for tile in values]
    together = audit_ranges(MODEL, values, threads=1)
    assert together == {name: max(ranges[name] for ranges in single) for name in together}


def test_parts_see_the_same() -> None:
    whole, parts = (audit_ranges(MODEL, tiles(2), most_bytes=most, threads=1) for most in (2**28, 1))
    assert parts.keys() == whole.keys()
    assert all(parts[name] == pytest.approx(whole[name], rel=1e-5) for name in whole)


def test_largest_weights() -> None:
    found = largest_weights(MODEL)
    for tensor in MODEL.graph.initializer:
        if tensor.name != "spatial":
            assert found[tensor.name] == np.abs(numpy_helper.to_array(tensor)).max()
    assert "spatial" not in found


def test_a_network_that_overflows_float32() -> None:
    with pytest.raises(ExportError) as raised:
        audit_ranges(onnx.load_model_from_string(segmenter(gain=1e38)), 1e3 * tiles(1), threads=1)
    assert raised.value.subject == "activation loud"
    assert raised.value.got == "NaN or infinity in float32"
