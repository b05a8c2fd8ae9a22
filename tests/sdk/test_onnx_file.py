"""No ONNX file that points outside itself gets past, however the pointer is hidden."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper, onnx_ml_pb2

from fundusrt import BundleError
from fundusrt._tiny_onnx import pixel_classifier
from fundusrt.onnx_file import CHILDREN, refuse_external_data


def tensor(name: str = "w") -> TensorProto:
    return numpy_helper.from_array(np.arange(4, dtype=np.float32), name)


def location_only(name: str) -> TensorProto:
    made = tensor(name)
    made.data_location = TensorProto.EXTERNAL
    return made


def entries_only(name: str) -> TensorProto:
    made = tensor(name)
    entry = made.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return made


def both(name: str) -> TensorProto:
    made = entries_only(name)
    made.data_location = TensorProto.EXTERNAL
    made.ClearField("raw_data")
    return made


def model(graph: Any = None, **fields: Any) -> onnx.ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    graph = graph or helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [value])
    return helper.make_model(graph, **fields)


def graph_with(*, nodes: list[Any] | None = None, initializers: list[Any] | None = None) -> Any:
    return helper.make_graph(nodes or [], "g", [], [], initializers or [])


def constant(value: TensorProto) -> Any:
    return helper.make_node("Constant", [], ["c"], value=value)


def in_attribute(kind: str, value: Any) -> Any:
    node = helper.make_node("Custom", ["x"], ["y"])
    attribute = node.attribute.add()
    attribute.name = "hidden"
    if kind in ("t", "g", "sparse_tensor"):
        getattr(attribute, kind).CopyFrom(value)
    else:
        getattr(attribute, kind).append(value)
    return node


def sparse(value: TensorProto, *, indices: bool) -> Any:
    made = onnx.SparseTensorProto()
    (made.indices if indices else made.values).CopyFrom(value)
    return made


def in_function(value: TensorProto, *, default: bool) -> onnx.ModelProto:
    function = helper.make_function("d", "F", ["x"], ["y"], [constant(tensor("inside"))], [helper.make_opsetid("", 18)])
    if default:
        function.attribute_proto.append(helper.make_attribute("hidden", value))
    else:
        function.node[0].attribute[0].t.CopyFrom(value)
    return model(functions=[function])


def in_sparse_initializer(value: TensorProto, *, indices: bool) -> onnx.ModelProto:
    made = model()
    made.graph.sparse_initializer.append(sparse(value, indices=indices))
    return made


def in_training(value: TensorProto, field: str) -> onnx.ModelProto:
    made = model()
    getattr(made.training_info.add(), field).CopyFrom(graph_with(initializers=[value]))
    return made


def in_nested_ifs(value: TensorProto) -> onnx.ModelProto:
    graph = graph_with(nodes=[constant(value)])
    for _ in range(3):
        empty = graph_with()
        node = helper.make_node("If", ["cond"], ["y"], then_branch=empty, else_branch=graph)
        graph = graph_with(nodes=[node])
    return model(graph)


PLACES: dict[str, Callable[[TensorProto], onnx.ModelProto]] = {
    "initializer": lambda t: model(graph_with(initializers=[tensor("first"), t])),
    "constant": lambda t: model(graph_with(nodes=[constant(t)])),
    "attribute tensors": lambda t: model(graph_with(nodes=[in_attribute("tensors", t)])),
    "subgraph": lambda t: model(graph_with(nodes=[in_attribute("g", graph_with(initializers=[t]))])),
    "subgraphs": lambda t: model(graph_with(nodes=[in_attribute("graphs", graph_with(initializers=[t]))])),
    "three nested ifs": in_nested_ifs,
    "sparse attribute": lambda t: model(graph_with(nodes=[in_attribute("sparse_tensor", sparse(t, indices=False))])),
    "sparse attributes": lambda t: model(graph_with(nodes=[in_attribute("sparse_tensors", sparse(t, indices=True))])),
    "sparse initializer values": lambda t: in_sparse_initializer(t, indices=False),
    "sparse initializer indices": lambda t: in_sparse_initializer(t, indices=True),
    "function node": lambda t: in_function(t, default=False),
    "function attribute default": lambda t: in_function(t, default=True),
    "training initialization": lambda t: in_training(t, "initialization"),
    "training algorithm": lambda t: in_training(t, "algorithm"),
}


@pytest.mark.parametrize("place", PLACES)
def test_tensors_inside_the_file_are_accepted(place: str) -> None:
    refuse_external_data(PLACES[place](tensor()).SerializeToString(), "model.onnx")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("make", [location_only, entries_only, both])
def test_external_data_is_refused_wherever_it_is(place: str, make: Callable[[str], TensorProto]) -> None:
    content = PLACES[place](make("secret")).SerializeToString()
    message = "model.onnx, tensor 'secret': got data in another file; expected all data inside the ONNX file; save the"
    with pytest.raises(BundleError, match=message):
        refuse_external_data(content, "model.onnx")


def test_the_walk_knows_every_way_to_a_tensor() -> None:
    """Against the descriptors of the onnx package: a field added there must be added here."""
    names = {"SparseTensorProto": "SparseTensor", "TrainingInfoProto": "Training"}
    reaches: dict[str, bool] = {}

    def reaches_tensor(message: Any) -> bool:
        if message.name not in reaches:
            reaches[message.name] = message.name == "TensorProto"
            children = [field.message_type for field in message.fields if field.message_type]
            reaches[message.name] |= sum(map(reaches_tensor, children)) > 0
        return reaches[message.name]

    def short(name: str) -> str:
        return names.get(name, name.removesuffix("Proto"))

    # Twice: the first pass meets cycles (a graph in an attribute of a node of a graph) before it knows their end.
    messages = list(onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values())
    for _ in range(2):
        known, reaches = {name for name, yes in reaches.items() if yes}, {}
        reaches.update(dict.fromkeys(known, True))
        for message in messages:
            reaches_tensor(message)
    expected = {
        (short(message.name), field.number): short(field.message_type.name)
        for message in messages
        for field in message.fields
        if field.message_type and reaches.get(field.message_type.name) and message.name != "TensorProto"
    }
    assert expected == CHILDREN


# --- encodings that two readers could read differently


def varint(value: int, length: int = 0) -> bytes:
    """Little-endian groups of 7 bits; padded to `length` bytes, which is not the canonical form."""
    groups = []
    while True:
        groups.append(value & 0x7F)
        value >>= 7
        if not value and len(groups) >= length:
            break
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def field(key: int, content: bytes, *, key_length: int = 0) -> bytes:
    return varint(key, key_length) + varint(len(content)) + content


def model_with_tensor(content: bytes, *, key_length: int = 0) -> bytes:
    return field(7 << 3 | 2, field(5 << 3 | 2, content, key_length=key_length), key_length=key_length)


EXTERNAL = field(13 << 3 | 2, b"\x0a\x08location\x12\x01x")


@pytest.mark.parametrize("key_length", [1, 2, 5, 10])
def test_keys_longer_than_needed(key_length: int) -> None:
    with pytest.raises(BundleError, match="data in another file"):
        refuse_external_data(model_with_tensor(EXTERNAL, key_length=key_length), "model.onnx")


def test_a_key_whose_higher_bits_some_readers_drop() -> None:
    hidden = field((1 << 32) + (13 << 3 | 2), b"\x0a\x08location\x12\x01x")
    with pytest.raises(BundleError, match="a field number beyond 29 bits"):
        refuse_external_data(model_with_tensor(hidden), "model.onnx")


@pytest.mark.parametrize("value", [1, 2, (1 << 32) + 1, (1 << 64) + 1])
def test_every_location_but_the_default(value: int) -> None:
    with pytest.raises(BundleError, match="data in another file"):
        refuse_external_data(model_with_tensor(varint(14 << 3) + varint(value)), "model.onnx")


def test_the_default_location_may_be_written_out() -> None:
    refuse_external_data(model_with_tensor(varint(14 << 3) + varint(0)), "model.onnx")


def test_a_message_in_two_parts_is_merged_by_readers() -> None:
    whole = model_with_tensor(field(8 << 3 | 2, b"w")) + model_with_tensor(EXTERNAL)
    with pytest.raises(BundleError, match="data in another file"):
        refuse_external_data(whole, "model.onnx")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x3a", "index out of bounds"),
        (b"\x3a\x05abc", "a field reaches past the end"),
        (b"\x3a" + b"\xff" * 9 + b"\x7f", "a field reaches past the end"),
        (b"\xff" * 11, "a number longer than 10 bytes"),
        (varint(7 << 3 | 3), "wire type 3"),
        (varint(1 << 3 | 1) + b"1234567", "a field reaches past the end"),
        (varint(1 << 3 | 5) + b"123", "a field reaches past the end"),
    ],
)
def test_bytes_that_are_no_message(content: bytes, reason: str) -> None:
    message = (
        f"model.onnx: got bytes that are no ONNX model .*{reason}.*; expected an ONNX file; export the bundle again"
    )
    with pytest.raises(BundleError, match=message):
        refuse_external_data(content, "model.onnx")


def test_deep_nesting_is_refused_before_the_stack_ends() -> None:
    graph = field(5 << 3 | 2, EXTERNAL)
    for _ in range(1000):
        graph = field(1 << 3 | 2, field(5 << 3 | 2, field(6 << 3 | 2, graph)))
    with pytest.raises(BundleError, match="nested deeper than 64"):
        refuse_external_data(field(7 << 3 | 2, graph), "model.onnx")


@given(content=st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(content: bytes) -> None:
    with contextlib.suppress(BundleError):
        refuse_external_data(content, "model.onnx")


CONTENT = pixel_classifier(64, (0.1, 0.2, 0.3), 0.5)


@given(
    changes=st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.integers(0, len(CONTENT)),
)
def test_changed_models_never_raise_anything_else(changes: list[tuple[int, int]], end: int) -> None:
    content = bytearray(CONTENT)
    for position, value in changes:
        content[position] = value
    for mutant in (bytes(content), bytes(content[:end])):
        with contextlib.suppress(BundleError):
            refuse_external_data(mutant, "model.onnx")


def test_the_tiny_model_is_what_the_onnx_package_would_write() -> None:
    parsed = onnx.load_from_string(CONTENT)
    onnx.checker.check_model(parsed, full_check=True)
    assert [node.op_type for node in parsed.graph.node] == ["Conv", "Sigmoid"]
    np.testing.assert_array_equal(
        numpy_helper.to_array(parsed.graph.initializer[0]).ravel(), np.float32([0.1, 0.2, 0.3])
    )
