"""R3: every other runtime and graph variant against ONNX Runtime, float32."""

from __future__ import annotations

from collections.abc import Mapping

from fundusrt.agreement import cosine, high_percentile, largest_difference, measured
from fundusrt.backends.base import InferenceSession
from fundusrt.certificate import Measurement, Rung
from fundusrt.ladder import LADDER
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.measure import span
from fundusrt_export.parity.network_answers import Runnable, answers
from fundusrt_export.parity.torch_to_onnxruntime import LEAST_SPAN

__all__ = ["NAME", "runtimes"]

NAME = "runtimes"


def runtimes(
    reference: Mapping[str, InferenceSession],
    variants: Mapping[str, Mapping[str, Runnable]],
    inputs: ParityInputs,
) -> Rung:
    """Compare answers on every window.

    Args:
        reference: the certified networks on ONNX Runtime, by name.
        variants: by variant (`openvino`, `tensorrt form on onnxruntime`), then by network: an open session, or the
            bytes of an ONNX file, which run on ONNX Runtime; a variant need not have every network.
        inputs: windows.

    Returns:
        For each variant and network the largest |difference| over the range of the reference's answers, limit 2e-4,
        its 99.9th percentile, limit 5e-5, and the cosine, limit 0.99999.
    """
    figures: list[Measurement] = []
    for network, session in reference.items():
        feeds = inputs.feeds(network)
        truth = answers(session, feeds)
        scale = span(truth, LEAST_SPAN)
        for variant, networks in variants.items():
            if network not in networks:
                continue
            made = answers(networks[network], feeds)
            name = f"{network}, {variant}"
            figures.append(measured(NAME, "difference", largest_difference(truth, made) / scale, name))
            figures.append(measured(NAME, "most", high_percentile(truth, made) / scale, name))
            figures.append(measured(NAME, "cosine", cosine(truth, made), name))
    return Rung(name=NAME, compares=LADDER[NAME].compares, inputs=inputs.hashes(), measurements=tuple(figures))
