"""ONNX files that keep their large tensors in a weights file beside them: back to one self-contained file.

Several graph forms of a network share one weights file. A runtime that was given the path would follow any reference in
the graph; here each one is checked and its bytes are copied, so that a runtime only ever sees one block of memory.

A reference is ONNX external data: the keys `location`, `offset` and `length`. Only initialisers of the main graph may
have one; `onnx_file` refuses all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from fundusrt.errors import BundleError
from fundusrt.onnx_file import CHILDREN, Field, fields, malformed, varint, walk

__all__ = ["inline_weights"]

# onnx.proto, opset 18 to 23: fields of TensorProto and of its entries.
_DIMS, _TYPE, _NAME, _RAW_DATA, _DOC, _EXTERNAL_DATA, _LOCATION, _METADATA = 1, 2, 8, 9, 12, 13, 14, 16
_KEPT = (_DIMS, _TYPE, _NAME, _DOC, _METADATA)
_IN_FILE, _EXTERNAL = 0, 1
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_DELIMITED = 2  # wire type

# Bytes of one element, by TensorProto.DataType; strings and packed types (4 bits and fewer) are never outside.
_FLOAT8 = (17, 18, 19, 20)
_ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2} | dict.fromkeys(
    _FLOAT8, 1
)

_MAX_RANK = 16
_MAX_DIGITS = 12
_MAX_MODEL_BYTES = 2**31 - 1  # of any ONNX file; many tensors that name the same bytes could ask for more


@dataclass
class _Weights:
    """The one file that tensors may lie in.

    Attributes:
        name: as the graph names it.
        content: its bytes.
        source: name of the ONNX file, for messages.
        copied: bytes handed out so far.
    """

    name: str
    content: memoryview
    source: str
    copied: int = field(default=0)

    def take(self, reference: dict[str, str], needed: int, tensor: str) -> memoryview:
        """Return the bytes of a tensor."""
        where = reference["location"]
        if where != self.name:
            raise _refusal(self.source, tensor, f"data in {where[:80]!r}", f"data in {self.name!r}")
        offset, length = (_count(reference[key]) for key in ("offset", "length"))
        if length != needed:
            raise _refusal(self.source, tensor, f"length {reference['length'][:20]}", f"{needed} bytes for its shape")
        if offset < 0 or offset + length > len(self.content):
            got = f"bytes {reference['offset'][:20]} + {length}"
            raise _refusal(self.source, tensor, got, f"a range within the {len(self.content)} bytes of {self.name}")
        self.copied += length
        if self.copied > _MAX_MODEL_BYTES:
            raise _refusal(self.source, tensor, f"{self.copied} bytes in all", f"at most {_MAX_MODEL_BYTES}")
        return self.content[offset : offset + length]


def inline_weights(model: bytes, name: str, weights: bytes, source: str) -> bytes:
    """Return an ONNX model with the tensors that lie in its weights file inside it.

    Args:
        model: an ONNX file.
        name: the only location its tensors may name: a plain file name.
        weights: the bytes of that file.
        source: name of the ONNX file, for messages.

    Raises:
        BundleError: a tensor with data in another place, outside the weights, of another length than its type and shape
            need, or with data twice; a reference that is not exactly location, offset and length; one anywhere but in
            an initialiser of the main graph; bytes that are no protocol-buffers message.
    """
    store = _Weights(name, memoryview(weights), source)
    try:
        return b"".join(_model(memoryview(model), store))
    except (IndexError, ValueError) as error:
        raise malformed(source, error) from error


def _model(message: memoryview, store: _Weights) -> Iterator[bytes | memoryview]:
    for part in fields(message):
        if part.number == _MODEL_GRAPH and part.wire == _DELIMITED and isinstance(part.value, memoryview):
            yield from _delimited(_MODEL_GRAPH, list(_graph(part.value, store)))
        else:
            yield _unchanged("Model", part, store)


def _graph(message: memoryview, store: _Weights) -> Iterator[bytes | memoryview]:
    for part in fields(message):
        if part.number == _GRAPH_INITIALIZER and part.wire == _DELIMITED and isinstance(part.value, memoryview):
            inside = _tensor(part.value, store)
            yield from [part.whole] if inside is None else _delimited(_GRAPH_INITIALIZER, inside)
        else:
            yield _unchanged("Graph", part, store)


def _unchanged(kind: str, part: Field, store: _Weights) -> memoryview:
    """Return a part as it is, after a look for references inside it, which none but an initialiser may have."""
    child = CHILDREN.get((kind, part.number))
    if child is not None and isinstance(part.value, memoryview):
        walk(part.value, child, store.source, 1)
    return part.whole


def _tensor(message: memoryview, store: _Weights) -> list[bytes | memoryview] | None:
    """Return the parts of a tensor with its data inside; None for one that has it inside already."""
    parts = list(fields(message))
    entries = [part for part in parts if part.number == _EXTERNAL_DATA]
    places = [part.value for part in parts if part.number == _LOCATION]
    if not entries and all(place == _IN_FILE for place in places):
        return None
    name = _text(_only(parts, _NAME, _DELIMITED)) if _count_of(parts, _NAME) == 1 else ""
    others = sorted({part.number for part in parts} - {*_KEPT, _EXTERNAL_DATA, _LOCATION})
    if places != [_EXTERNAL] or others or any(part.wire != _DELIMITED for part in entries):
        got = f"fields {others} beside a reference" if others else f"a reference, and data_location {places}"
        raise _refusal(store.source, name, got, "data_location EXTERNAL and no other data")
    reference = _reference(entries, store.source, name)
    kind = _only(parts, _TYPE, 0)
    size = _ELEMENT_BYTES.get(kind) if isinstance(kind, int) else None
    if size is None:
        raise _refusal(store.source, name, f"element type {kind}", "a type of whole bytes")
    data = store.take(reference, size * math.prod(_dims(parts)), name)
    kept: list[bytes | memoryview] = [part.whole for part in parts if part.number in _KEPT]
    return [*kept, *_delimited(_RAW_DATA, [data])]


def _reference(entries: list[Field], source: str, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        assert isinstance(entry.value, memoryview)
        parts = list(fields(entry.value))
        texts = {part.number: _text(part.value) for part in parts}
        if len(parts) != 2 or set(texts) != {1, 2} or texts[1] in found:
            raise _refusal(source, name, "a reference that says something twice, or nothing", "one key, one value")
        found[texts[1]] = texts[2]
    if set(found) != {"location", "offset", "length"}:
        raise _refusal(source, name, f"the keys {', '.join(sorted(found))[:80]}", "location, offset, length")
    return found


def _dims(parts: list[Field]) -> list[int]:
    dims: list[int] = []
    for part in parts:
        if part.number != _DIMS:
            continue
        if isinstance(part.value, int):
            dims.append(part.value)
            continue
        if part.wire != _DELIMITED:
            raise ValueError("dimensions of a fixed width")
        position = 0
        while position < len(part.value) and len(dims) <= _MAX_RANK:
            length, position = varint(part.value, position)
            dims.append(length)
    if len(dims) > _MAX_RANK or any(length >= 1 << 40 for length in dims):  # negative ones are 10-byte numbers
        raise ValueError("a shape that no tensor has")
    return dims


def _only(parts: list[Field], number: int, wire: int) -> int | memoryview:
    (value,) = (part.value for part in parts if part.number == number and part.wire == wire)
    return value


def _count_of(parts: list[Field], number: int) -> int:
    return sum(part.number == number for part in parts)


def _text(value: int | memoryview) -> str:
    if isinstance(value, int):
        raise ValueError("a number where a text belongs")
    return bytes(value).decode("utf-8")


def _count(text: str) -> int:
    """Return a number written in plain decimal digits; -1 for anything else, which no range accepts."""
    plain = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if plain else -1


def _delimited(number: int, content: list[bytes | memoryview]) -> list[bytes | memoryview]:
    length = sum(len(part) for part in content)
    return [_number(number << 3 | _DELIMITED) + _number(length), *content]


def _number(value: int) -> bytes:
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _refusal(source: str, tensor: str, got: str, expected: str) -> BundleError:
    return BundleError(f"{source}, tensor {tensor!r}", got=got, expected=expected, fix="do not use this bundle")
