"""R4: a network in float32 against the same network in another precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fundusrt.backends.base import InferenceSession
from fundusrt.certificate import Measurement, Rung
from fundusrt.ladder import LADDER
from fundusrt.precision_agreement import precision_figures
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.network_answers import Runnable, answers

__all__ = ["precision"]

Lower = Literal["fp16", "bf16", "int8"]


def precision(
    lower: Lower,
    reference: Mapping[str, InferenceSession],
    candidates: Mapping[str, Runnable],
    inputs: ParityInputs,
    threshold: float | None,
) -> Rung:
    """Compare answers on every window.

    Args:
        lower: the other precision; each has its own limits and rung, `precision-fp16` and so on.
        reference: the float32 networks, by name.
        candidates: the same networks in the other precision: open sessions, or ONNX files for ONNX Runtime.
        inputs: windows.
        threshold: of the probability of a segmentation; None for an enhancement.

    Returns:
        For each network the figures of `fundusrt.precision_agreement`.
    """
    rung = f"precision-{lower}"
    figures: list[Measurement] = []
    for network, session in reference.items():
        feeds = inputs.feeds(network)
        windows = list(inputs.windows[network].values())
        truth, made = answers(session, feeds), answers(candidates[network], feeds)
        figures += precision_figures(lower, truth, made, windows, threshold=threshold, network=network)
    return Rung(name=rung, compares=LADDER[rung].compares, inputs=inputs.hashes(), measurements=tuple(figures))
