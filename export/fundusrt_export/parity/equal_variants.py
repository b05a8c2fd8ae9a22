"""R3 of an export: the graph of every other target against the graph of ONNX Runtime."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import onnx

from fundusrt.backends.base import InferenceSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.backends.openvino import OpenVinoSession
from fundusrt.certificate import Rung
from fundusrt.manifest.parts import Target
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.runtimes import runtimes
from fundusrt_export.passes import exact_instance_norm

__all__ = ["equal_variants", "measurable"]


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
        The figures of `runtimes`: of each other graph in ONNX Runtime (with `passes.exact_instance_norm`, whose
        documentation says why), and of OpenVINO's graph, whether it is another or not, in OpenVINO in float32.

    Raises:
        BackendUnavailable: there is a variant for OpenVINO, and it is not installed.
    """
    reference: dict[str, InferenceSession] = {}
    graph_sessions: dict[str, dict[str, InferenceSession]] = {}
    openvino_sessions: dict[str, InferenceSession] = {}
    with contextlib.ExitStack() as stack:
        for network, files in graphs.items():
            session = OnnxRuntimeSession(files["onnxruntime"], source=network, threads=threads)
            reference[network] = stack.enter_context(contextlib.closing(session))
            for target, content in files.items():
                source = f"{network}, {target}"
                same = content == files["onnxruntime"]
                if target == "tensorrt" or (target == "openvino" and not same):
                    session = OnnxRuntimeSession(measurable(content), source=source, threads=threads)
                    label = f"{target} graph in ONNX Runtime" + (", the same file" if same else "")
                    made = graph_sessions.setdefault(label, {})
                    made[network] = stack.enter_context(contextlib.closing(session))
                if target == "openvino":
                    openvino = OpenVinoSession(content, source=source, threads=threads)
                    openvino_sessions[network] = stack.enter_context(contextlib.closing(openvino))
        rungs = [runtimes(reference, graph_sessions, inputs)] if graph_sessions else []
        if openvino_sessions:
            openvino_graphs = {"openvino graph in OpenVINO": openvino_sessions}
            rungs.append(runtimes(reference, openvino_graphs, inputs))
        measurements = tuple(figure for rung in rungs for figure in rung.measurements)
        return rungs[0].model_copy(update={"measurements": measurements})


def measurable(content: bytes) -> bytes:
    """Write InstanceNormalization out: on flat windows ONNX Runtime's kernel is far off, and would hide the graph."""
    model = onnx.load_model_from_string(content)
    return model.SerializeToString() if exact_instance_norm(model) else content
