"""Graphs that share a weights file: read back to the very same models, each tensor stored once."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fundusrt.errors import BundleError
from fundusrt.onnx_weights import inline_weights
from fundusrt_export import shared_weights
from fundusrt_export.errors import ExportError
from fundusrt_export.shared_weights import ALIGNMENT, LEAST_BYTES, share_weights

RNG = np.random.default_rng(0)
LARGE = RNG.standard_normal((16, 3, 5, 5)).astype(np.float32)
HALF = RNG.standard_normal((601,)).astype(np.float16)
SMALL = RNG.standard_normal((LEAST_BYTES // 4 - 1,)).astype(np.float32)


def graph(**tensors: np.ndarray) -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    initializers = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], initializers)).SerializeToString()


GRAPHS = {
    "one.onnx": graph(a=LARGE, b=SMALL, c=HALF),
    "two.onnx": graph(c=HALF, renamed=LARGE, reshaped=LARGE.reshape(48, 25), own=LARGE + 1),
}


def test_read_back_to_the_same_models() -> None:
    shared, weights = share_weights(GRAPHS, "net.weights")
    for name, content in GRAPHS.items():
        assert len(shared[name]) < len(content)
        read = onnx.load_from_string(inline_weights(shared[name], "net.weights", weights, name))
        original = onnx.load_from_string(content)
        onnx.checker.check_model(read)
        for one, other in zip(original.graph.initializer, read.graph.initializer, strict=True):
            assert (one.name, one.data_type, list(one.dims)) == (other.name, other.data_type, list(other.dims))
            np.testing.assert_array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))


def test_equal_contents_are_stored_once_aligned_and_small_ones_not_at_all() -> None:
    shared, weights = share_weights(GRAPHS, "net.weights")
    places: dict[str, dict[str, str]] = {}
    for content in shared.values():
        for tensor in onnx.load_from_string(content).graph.initializer:
            places[tensor.name] = {entry.key: entry.value for entry in tensor.external_data}
    assert places["b"] == {}
    assert places["a"] == places["renamed"] == places["reshaped"] != places["own"]
    assert all(int(place["offset"]) % ALIGNMENT == 0 for place in places.values() if place)
    padding = sum(-size % ALIGNMENT for size in (LARGE.nbytes, HALF.nbytes))
    assert len(weights) == 2 * LARGE.nbytes + HALF.nbytes + padding


def test_the_same_graphs_give_the_same_bytes() -> None:
    assert share_weights(GRAPHS, "net.weights") == share_weights(GRAPHS, "net.weights")


def test_the_sdk_refuses_them_under_another_name() -> None:
    shared, weights = share_weights(GRAPHS, "net.weights")
    with pytest.raises(BundleError, match=r"got data in 'net.weights'; expected data in 'other.weights'"):
        inline_weights(shared["one.onnx"], "other.weights", weights, "one.onnx")


def test_what_is_read_back_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: one weight differs."""

    def wrong(model: bytes, name: str, weights: bytes, source: str) -> bytes:
        return inline_weights(model, name, bytes([weights[0] ^ 1]) + weights[1:], source)

    monkeypatch.setattr(shared_weights, "inline_weights", wrong)
    with pytest.raises(ExportError, match=r"one.onnx: got other tensors or nodes after sharing weights"):
        share_weights(GRAPHS, "net.weights")
