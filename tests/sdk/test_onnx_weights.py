"""A graph and its weights file become one file again; every other reference is refused, and no mutation gets by."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from fundusrt import BundleError
from fundusrt.onnx_file import refuse_external_data
from fundusrt.onnx_weights import inline_weights

NAME = "net.weights"
RNG = np.random.default_rng(0)
ARRAYS = {
    "w": RNG.standard_normal((4, 3, 2), dtype=np.float32),
    "h": RNG.standard_normal((5,)).astype(np.float16),
    "i": np.arange(6, dtype=np.int64).reshape(2, 3),
    "b": RNG.integers(-128, 127, (3, 3), dtype=np.int8),
    "s": np.float32(2.5).reshape(()),
}
OFFSETS = {"w": 0, "h": 128, "i": 192, "b": 256, "s": 288}
WEIGHTS = bytearray(320)
for key, array in ARRAYS.items():
    WEIGHTS[OFFSETS[key] : OFFSETS[key] + array.nbytes] = array.tobytes()
WEIGHTS = bytes(WEIGHTS)


def outside(name: str, **changed: str) -> TensorProto:
    array = ARRAYS[name]
    tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    reference = {"location": NAME, "offset": str(OFFSETS[name]), "length": str(array.nbytes), **changed}
    for key, value in reference.items():
        if value != "absent":
            tensor.external_data.add(key=key, value=value)
    return tensor


def model(*tensors: TensorProto, nodes: list[Any] | None = None) -> onnx.ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    nodes = nodes or [helper.make_node("Identity", ["x"], ["y"])]
    return helper.make_model(helper.make_graph(nodes, "g", [value], [value], list(tensors)))


def inlined(made: onnx.ModelProto, weights: bytes = WEIGHTS) -> bytes:
    return inline_weights(made.SerializeToString(), NAME, weights, "net.onnx")


def whole() -> onnx.ModelProto:
    inside = numpy_helper.from_array(np.float32([1, 2]), "inside")
    return model(outside("w"), inside, *(outside(name) for name in list(ARRAYS)[1:]))


def test_every_tensor_comes_back() -> None:
    content = inlined(whole())
    parsed = onnx.load_from_string(content)
    onnx.checker.check_model(parsed)
    refuse_external_data(content, "net.onnx")
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in parsed.graph.initializer}
    assert list(found) == ["w", "inside", "h", "i", "b", "s"]
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert [node.op_type for node in parsed.graph.node] == ["Identity"]


def test_equal_to_what_the_onnx_package_reads(tmp_path: Any) -> None:
    (tmp_path / NAME).write_bytes(WEIGHTS)
    onnx.save(whole(), tmp_path / "net.onnx")
    read = onnx.load(tmp_path / "net.onnx")
    again = onnx.load_from_string(inlined(whole()))
    for one, other in zip(read.graph.initializer, again.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))


def test_two_tensors_may_share_their_bytes() -> None:
    twice = outside("w")
    twice.name = "w2"
    parsed = onnx.load_from_string(inlined(model(outside("w"), twice)))
    one, other = (numpy_helper.to_array(tensor) for tensor in parsed.graph.initializer)
    np.testing.assert_array_equal(one, other)


def test_dimensions_written_one_by_one() -> None:
    """proto3 packs them; other writers do not."""
    raw = outside("w")
    raw.ClearField("dims")
    unpacked = b"".join(bytes([1 << 3, length]) for length in ARRAYS["w"].shape)
    content = raw.SerializeToString() + unpacked
    graph = bytes([5 << 3 | 2, len(content)]) + content
    whole_model = bytes([7 << 3 | 2, *([0x80 | len(graph) & 0x7F, len(graph) >> 7])]) + graph
    parsed = onnx.load_from_string(inline_weights(whole_model, NAME, WEIGHTS, "net.onnx"))
    np.testing.assert_array_equal(numpy_helper.to_array(parsed.graph.initializer[0]), ARRAYS["w"])


@pytest.mark.parametrize("location", ["/etc/passwd", "../net.weights", "./net.weights", "other", "NET.WEIGHTS", ""])
def test_another_location(location: str) -> None:
    message = f"net.onnx, tensor 'w': got data in '{location}'; expected data in 'net.weights'; do not use this bundle"
    with pytest.raises(BundleError, match=message):
        inlined(model(outside("w", location=location)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"offset": "225"}, "got bytes 225 [+] 96; expected a range within the 320 bytes of net.weights"),
        ({"offset": "99999999999"}, "expected a range within"),
        ({"offset": "9999999999999999999"}, "expected a range within"),
        ({"offset": "-1"}, "got bytes -1 [+] 96; expected a range within"),
        ({"offset": "0x10"}, "expected a range within"),
        ({"offset": " 0"}, "expected a range within"),
        ({"offset": "٠"}, "expected a range within"),
        ({"offset": ""}, "expected a range within"),
        ({"length": "95"}, "got length 95; expected 96 bytes for its shape"),
        ({"length": "100"}, "expected 96 bytes for its shape"),
        ({"length": ""}, "expected 96 bytes for its shape"),
        ({"offset": "absent"}, "got the keys length, location; expected location, offset, length"),
        ({"length": "absent"}, "got the keys location, offset; expected"),
        ({"location": "absent"}, "got the keys length, offset; expected"),
        ({"checksum": "x"}, "got the keys checksum, length, location, offset; expected"),
    ],
)
def test_references_that_do_not_fit(changed: dict[str, str], message: str) -> None:
    with pytest.raises(BundleError, match=f"net.onnx, tensor 'w': .*{message}"):
        inlined(model(outside("w", **changed)))


def test_weights_that_are_cut_short() -> None:
    with pytest.raises(BundleError, match="a range within the 95 bytes"):
        inlined(model(outside("w")), WEIGHTS[:95])


def with_raw_data() -> TensorProto:
    tensor = outside("w")
    tensor.raw_data = ARRAYS["w"].tobytes()
    return tensor


def with_segment() -> TensorProto:
    tensor = outside("w")
    tensor.segment.begin = 1
    return tensor


def location_twice() -> TensorProto:
    tensor = outside("w")
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def not_declared() -> TensorProto:
    tensor = outside("w")
    tensor.data_location = TensorProto.DEFAULT
    return tensor


def no_reference() -> TensorProto:
    tensor = outside("w")
    del tensor.external_data[:]
    return tensor


def text_type() -> TensorProto:
    tensor = outside("w")
    tensor.data_type = TensorProto.STRING
    return tensor


def packed_type() -> TensorProto:
    tensor = outside("w")
    tensor.data_type = TensorProto.INT4
    return tensor


def negative_length() -> TensorProto:
    tensor = outside("w")
    tensor.dims[0] = -4
    return tensor


def rank_17() -> TensorProto:
    tensor = outside("w")
    tensor.dims.extend([1] * 14)
    return tensor


@pytest.mark.parametrize(
    "make",
    [
        with_raw_data, with_segment, location_twice, not_declared, no_reference, text_type, packed_type,
        negative_length, rank_17,
    ],
)  # fmt: skip
def test_tensors_that_two_readers_could_read_differently(make: Any) -> None:
    with pytest.raises(BundleError):
        inlined(model(make()))


def test_only_initialisers_of_the_main_graph_may_lie_outside() -> None:
    constant = helper.make_node("Constant", [], ["c"], value=outside("w"))
    with pytest.raises(BundleError, match="tensor 'w': got data in another file"):
        inlined(model(nodes=[constant]))
    inner = helper.make_graph([], "inner", [], [], [outside("w")])
    branch = helper.make_node("If", ["cond"], ["y"], then_branch=inner, else_branch=inner)
    with pytest.raises(BundleError, match="tensor 'w': got data in another file"):
        inlined(model(nodes=[branch]))


def test_a_small_graph_cannot_ask_for_more_memory_than_a_model_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fundusrt.onnx_weights._MAX_MODEL_BYTES", 200)
    with pytest.raises(BundleError, match="got 288 bytes in all; expected at most 200"):
        inlined(model(outside("w"), outside("w"), outside("w")))


CONTENT = whole().SerializeToString()
EXPECTED = {tensor.name: tensor.raw_data for tensor in onnx.load_from_string(inlined(whole())).graph.initializer}


def accepted(content: bytes, weights: bytes = WEIGHTS) -> bytes | None:
    """Return the inlined file, which holds no reference any more, or None where it was refused."""
    with contextlib.suppress(BundleError):
        made = inline_weights(content, NAME, weights, "net.onnx")
        refuse_external_data(made, "net.onnx")
        return made
    return None


@given(
    changes=st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.integers(0, len(CONTENT)),
    cut=st.integers(0, len(WEIGHTS)),
)
@settings(max_examples=300, deadline=None)
def test_changed_files_are_refused_or_hold_bytes_of_the_weights(
    changes: list[tuple[int, int]], end: int, cut: int
) -> None:
    content = bytearray(CONTENT)
    for position, value in changes:
        content[position] = value
    accepted(bytes(content[:end]))
    accepted(CONTENT, WEIGHTS[:cut])
    made = accepted(bytes(content))
    if made is None:
        return
    try:
        tensors = onnx.load_from_string(made).graph.initializer
    except DecodeError:  # what protobuf itself refuses no runtime loads
        return
    for tensor in tensors:
        assert not tensor.external_data
        assert tensor.data_location == TensorProto.DEFAULT
        assert tensor.raw_data in WEIGHTS or tensor.raw_data in content


@given(content=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_bytes_never_raise_anything_else(content: bytes) -> None:
    accepted(content)


def test_the_expected_bytes_are_the_arrays() -> None:
    assert {name: array.tobytes() for name, array in ARRAYS.items()} == {
        name: data for name, data in EXPECTED.items() if name != "inside"
    }
