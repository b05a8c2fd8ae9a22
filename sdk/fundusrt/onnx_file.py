"""Just enough of the ONNX file format to refuse tensors whose data lies outside the file.

A runtime would follow such a reference to any path on the machine. ONNX is a protocol-buffers message; this walks its
fields without the onnx package, which a device does not need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fundusrt.errors import BundleError

__all__ = ["CHILDREN", "Field", "fields", "malformed", "refuse_external_data", "varint", "walk"]

# (message, field number) -> message of that field; everything that can hold a TensorProto (onnx.proto, opset 18 to 23).
CHILDREN = {
    ("Model", 7): "Graph",
    ("Model", 20): "Training",
    ("Model", 25): "Function",
    ("Training", 1): "Graph",
    ("Training", 2): "Graph",
    ("Graph", 1): "Node",
    ("Graph", 5): "Tensor",
    ("Graph", 15): "SparseTensor",
    ("Function", 7): "Node",
    ("Function", 11): "Attribute",
    ("Node", 5): "Attribute",
    ("Attribute", 5): "Tensor",
    ("Attribute", 6): "Graph",
    ("Attribute", 10): "Tensor",
    ("Attribute", 11): "Graph",
    ("Attribute", 22): "SparseTensor",
    ("Attribute", 23): "SparseTensor",
    ("SparseTensor", 1): "Tensor",
    ("SparseTensor", 2): "Tensor",
}
_TENSOR_NAME, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 8, 13, 14
_MAX_DEPTH = 64


def refuse_external_data(model: bytes, source: str) -> None:
    """Raise unless every tensor of an ONNX model is stored inside the file.

    Raises:
        BundleError: a tensor with external data, or bytes that are no protocol-buffers message.
    """
    try:
        walk(memoryview(model), "Model", source)
    except (IndexError, ValueError) as error:
        raise malformed(source, error) from error


def malformed(source: str, error: Exception) -> BundleError:
    """Return the refusal of bytes that are no protocol-buffers message."""
    return BundleError(
        source,
        got=f"bytes that are no ONNX model ({error})",
        expected="an ONNX file",
        fix="export the bundle again",
    )


def walk(message: memoryview, kind: str, source: str, depth: int = 0) -> None:
    """Raise if a message, or one inside it, is a tensor with external data.

    Args:
        message: its bytes.
        kind: `Model`, `Graph` or another name of `CHILDREN`.
        source: name of the file, for messages.
        depth: how many messages it is inside of.

    Raises:
        BundleError: a tensor with external data.
        IndexError, ValueError: no protocol-buffers message.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_DEPTH}")
    name, external = "", False
    for number, _, value, _ in fields(message):
        if kind == "Tensor":
            if number == _TENSOR_NAME and isinstance(value, memoryview):
                name = bytes(value).decode("utf-8", "replace")
            external = external or number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value != 0)
        child = CHILDREN.get((kind, number))
        if child is not None and isinstance(value, memoryview):
            walk(value, child, source, depth + 1)
    if external:
        raise BundleError(
            f"{source}, tensor {name!r}",
            got="data in another file",
            expected="all data inside the ONNX file",
            fix="save the model without external data",
        )


class Field(NamedTuple):
    """One field of a message.

    Its number, its wire type, its value (length-delimited and fixed ones as a view), and all of its bytes, key too.
    """

    number: int
    wire: int
    value: int | memoryview
    whole: memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of one message.

    Raises:
        IndexError, ValueError: no protocol-buffers message.
    """
    position = 0
    while position < len(message):
        start = position
        key, position = varint(message, position)
        if key >= 1 << 32:
            # Some readers drop the higher bits, and would see another field than this walk.
            raise ValueError("a field number beyond 29 bits")
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = varint(message, position)
            yield Field(number, wire, value, message[start:position])
            continue
        if wire == 2:
            length, position = varint(message, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(message):
            raise ValueError("a field reaches past the end")
        end = position + length
        yield Field(number, wire, message[position:end], message[start:end])
        position = end


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number that begins at a position, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number longer than 10 bytes")
