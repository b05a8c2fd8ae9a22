"""The audit sees every tensor, whatever it holds at once, and refuses what float32 itself cannot hold."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

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


def test_one_nan_among_numbers_is_seen() -> None:
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    last = model.graph.node[-1]
    bad = numpy_helper.from_array(np.array([np.nan], np.float32), "bad")
    pads = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 0, 1]), "pads")
    model.graph.initializer.extend([bad, pads])
    model.graph.node.append(helper.make_node("Pad", [last.output[0], "pads", "bad"], ["padded"], name="padding"))
    with pytest.raises(ExportError, match="activation padded: got NaN"):
        audit_ranges(model, tiles(1), threads=1)


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
