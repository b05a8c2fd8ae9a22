"""Rung between the variants of a network: each target's graph against the graph of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx

from fundusrt.agreement import at_most, largest_difference
from fundusrt.backends.base import InferenceSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.backends.openvino import OpenVinoSession
from fundusrt.certificate import Measurement, Rung
from fundusrt.manifest.parts import Target
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.measure import span
from fundusrt_export.passes import exact_instance_norm

__all__ = ["LEAST_SPAN", "LIMIT", "NAME", "equal_variants"]

NAME = "equal-variants"
LIMIT = 1e-4
LEAST_SPAN = 0.01
_METRIC = "max |difference| / range"

Maps = npt.NDArray[np.float32]


def equal_variants(
    graphs: Mapping[str, Mapping[Target, bytes]], inputs: ParityInputs, *, threads: int | None = None
) -> Rung:
    """Run every variant on every window, one by one.

    Args:
        graphs: self-contained ONNX files by network and target; `onnxruntime` is what the others are compared with, and
            `torch-to-onnxruntime` compares it with PyTorch.
        inputs: windows.
        threads: of the runtimes; None for one per core.

    Returns:
        The largest |difference| over the range of the answers (at least 0.01), limit 1e-4: of each other graph in ONNX
        Runtime (with `passes.exact_instance_norm`, whose documentation says why), and of OpenVINO's graph, whether it
        is another or not, in OpenVINO in float32.

    Raises:
        BackendUnavailable: there is a variant for OpenVINO, and it is not installed.
    """
    measurements: list[Measurement] = []
    for network, files in graphs.items():
        feeds = list(inputs.feeds(network).values())
        reference = _answers(OnnxRuntimeSession(files["onnxruntime"], source=network, threads=threads), feeds)
        for target, content in files.items():
            source = f"{network}, {target}"
            same = content == files["onnxruntime"]
            if target == "tensorrt" or (target == "openvino" and not same):
                session = OnnxRuntimeSession(_measurable(content), source=source, threads=threads)
                figure = _difference(reference, _answers(session, feeds))
                measurements.append(at_most(f"{source} graph in ONNX Runtime: {_METRIC}", figure, LIMIT))
            if target == "openvino":
                session = OpenVinoSession(content, source=source, threads=threads)
                figure = _difference(reference, _answers(session, feeds))
                measurements.append(at_most(f"{source} graph in OpenVINO: {_METRIC}", figure, LIMIT))
    return Rung(
        name=NAME,
        compares="answers of the graph for ONNX Runtime and of the graphs for the other targets, float32",
        inputs=inputs.hashes(),
        measurements=tuple(measurements),
    )


def _measurable(content: bytes) -> bytes:
    """Write InstanceNormalization out: on flat windows ONNX Runtime's kernel is far off, and would hide the graph."""
    model = onnx.load_model_from_string(content)
    return model.SerializeToString() if exact_instance_norm(model) else content


def _difference(reference: Maps, made: Maps) -> float:
    return largest_difference(reference, made) / span(reference, LEAST_SPAN)


def _answers(session: InferenceSession, feeds: list[Maps]) -> Maps:
    (name,), (output,) = session.inputs, session.outputs
    try:
        return np.concatenate([session.run({name: feed})[output] for feed in feeds])
    finally:
        session.close()
