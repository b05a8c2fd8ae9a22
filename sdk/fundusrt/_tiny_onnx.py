"""The smallest useful ONNX files, written byte by byte: `fundusrt.testing` must work where the onnx package is absent.

Each network judges each pixel by itself with a 1x1 convolution. Field numbers are those of onnx.proto (opset 18).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

__all__ = ["enlarging_classifier", "pixel_classifier", "pixel_mixer"]

_IR_VERSION, _OPSET, _FLOAT = 8, 18, 1
_STRING = 3  # type of an attribute


def pixel_classifier(size_px: int, weights: Sequence[float], bias: float) -> bytes:
    """Return an ONNX model: `image` (N, C, size, size) float32 to `probability` (N, 1, size, size), N free.

    probability = sigmoid(w . pixel + b).

    Args:
        size_px: height and width of the input in px.
        weights: one for each of the C channels.
        bias: added before the sigmoid.
    """
    channels = len(weights)
    return _model(
        nodes=(_node("Conv", ("image", "w", "b"), "score"), _node("Sigmoid", ("score",), "probability")),
        tensors=(_tensor("w", (1, channels, 1, 1), weights), _tensor("b", (1,), (bias,))),
        image=("image", (channels, size_px, size_px)),
        answer=("probability", (1, size_px, size_px)),
    )


def enlarging_classifier(height_px: int, width_px: int, weights: Sequence[float], bias: float, scale: int) -> bytes:
    """Return `pixel_classifier` for any height and width, each pixel of whose answer is repeated `scale` x `scale`."""
    channels = len(weights)
    repeat = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _model(
        nodes=(
            _node("Conv", ("image", "w", "b"), "score"),
            _node("Sigmoid", ("score",), "small"),
            _node("Resize", ("small", "", "scales"), "probability", repeat),
        ),
        tensors=(
            _tensor("w", (1, channels, 1, 1), weights),
            _tensor("b", (1,), (bias,)),
            _tensor("scales", (4,), (1.0, 1.0, scale, scale)),
        ),
        image=("image", (channels, height_px, width_px)),
        answer=("probability", (1, scale * height_px, scale * width_px)),
    )


def pixel_mixer(height_px: int, width_px: int, mix: Sequence[Sequence[float]], offset: Sequence[float]) -> bytes:
    """Return an ONNX model: `image` (N, 3, H, W) float32 to `enhanced` (N, 3, H, W), N free: mix . pixel + offset."""
    return _model(
        nodes=(_node("Conv", ("image", "w", "b"), "enhanced"),),
        tensors=(_tensor("w", (3, 3, 1, 1), [value for row in mix for value in row]), _tensor("b", (3,), offset)),
        image=("image", (3, height_px, width_px)),
        answer=("enhanced", (3, height_px, width_px)),
    )


def _model(
    nodes: Sequence[bytes],
    tensors: Sequence[bytes],
    image: tuple[str, Sequence[int]],
    answer: tuple[str, Sequence[int]],
) -> bytes:
    graph = b"".join(
        (
            *(_message(1, node) for node in nodes),
            _text(2, "fundusrt.testing"),
            *(_message(5, tensor) for tensor in tensors),
            _message(11, _value(*image)),
            _message(12, _value(*answer)),
        )
    )
    opset = _text(1, "") + _number(2, _OPSET)
    return _number(1, _IR_VERSION) + _text(2, "fundusrt.testing") + _message(7, graph) + _message(8, opset)


def _node(operator: str, inputs: Sequence[str], output: str, texts: dict[str, str] | None = None) -> bytes:
    attributes = b"".join(
        _message(5, _text(1, name) + _text(4, value) + _number(20, _STRING)) for name, value in (texts or {}).items()
    )
    return b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(4, operator) + attributes


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
