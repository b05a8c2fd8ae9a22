"""What runs a candidate when it is judged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import onnx

from fundusrt.backends.base import Array, InferenceSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.backends.openvino import OpenVinoSession
from fundusrt_export.passes import exact_instance_norm
from fundusrt_export.precision.rounding import rounded_twin

__all__ = ["Answering", "in_onnxruntime", "in_openvino"]

Answering = Callable[[bytes, Array], list[Array]]
"""Run an ONNX file of one input and one output on each tile; returns its answers, each without the batch axis."""


def in_onnxruntime(threads: int | None = None) -> Answering:
    """Return what the file says, whatever will run it: fp16 and bf16 rounded in float32, InstanceNormalization exact.

    ONNX Runtime lacks bf16 kernels, leaves fp16 roundings out, and its InstanceNormalization is off on flat areas.
    """

    def run(candidate: bytes, tiles: Array) -> list[Array]:
        model = onnx.load_model_from_string(rounded_twin(candidate))
        exact_instance_norm(model)
        return _each(OnnxRuntimeSession(model.SerializeToString(), source="candidate", threads=threads), tiles)

    return run


def in_openvino(threads: int | None = None) -> Answering:
    """Return what OpenVINO itself makes of the file: its int8 is not what the file says everywhere."""

    def run(candidate: bytes, tiles: Array) -> list[Array]:
        return _each(OpenVinoSession(candidate, source="candidate", threads=threads), tiles)

    return run


def _each(session: InferenceSession, tiles: Array) -> list[Array]:
    (feed,), (output,) = session.inputs, session.outputs
    with contextlib.closing(session):
        return [session.run({feed: tile[None]})[output][0] for tile in tiles]
