"""The smallest useful ONNX file, written byte by byte: `fundusrt.testing` must work where the onnx package is absent.

The network judges each pixel by itself: probability = sigmoid(w . rgb + b), a 1x1 convolution and a sigmoid. Field
numbers are those of onnx.proto (opset 18).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

__all__ = ["pixel_classifier"]

_IR_VERSION, _OPSET, _FLOAT = 8, 18, 1


def pixel_classifier(size_px: int, weights: Sequence[float], bias: float) -> bytes:
    """Return an ONNX model: `image` (N, C, size, size) float32 to `probability` (N, 1, size, size), N free.

    Args:
        size_px: height and width of the input in px.
        weights: one for each of the C channels.
        bias: added before the sigmoid.
    """
    channels = len(weights)
    graph = b"".join(
        (
            _message(1, _text(1, "image") + _text(1, "w") + _text(1, "b") + _text(2, "score") + _text(4, "Conv")),
            _message(1, _text(1, "score") + _text(2, "probability") + _text(4, "Sigmoid")),
            _text(2, "pixel_classifier"),
            _message(5, _tensor("w", (1, channels, 1, 1), weights)),
            _message(5, _tensor("b", (1,), (bias,))),
            _message(11, _value("image", (channels, size_px, size_px))),
            _message(12, _value("probability", (1, size_px, size_px))),
        )
    )
    opset = _text(1, "") + _number(2, _OPSET)
    return _number(1, _IR_VERSION) + _text(2, "fundusrt.testing") + _message(7, graph) + _message(8, opset)


def _tensor(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    dims = b"".join(_number(1, length) for length in shape)
    return dims + _number(2, _FLOAT) + _text(8, name) + _message(9, struct.pack(f"<{len(values)}f", *values))


def _value(name: str, shape: Sequence[int]) -> bytes:
    """A named tensor whose first dimension, the batch, is free."""
    dims = _message(1, _text(2, "batch")) + b"".join(_message(1, _number(1, length)) for length in shape)
    return _text(1, name) + _message(2, _message(1, _number(1, _FLOAT) + _message(2, dims)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))
