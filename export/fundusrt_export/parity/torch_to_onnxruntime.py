"""R2: the rewritten network in PyTorch, float64, against the exported file in ONNX Runtime, float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fundusrt.agreement import cosine, largest_difference, measured
from fundusrt.backends.base import InferenceSession
from fundusrt.certificate import Measurement, Rung
from fundusrt_export.parity.float64 import Float64Network
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.measure import span

__all__ = ["BATCHES", "LEAST_SPAN", "NAME", "torch_to_onnxruntime"]

NAME = "torch-to-onnxruntime"
LEAST_SPAN = 0.01
BATCHES = (1, 3)
"""Batch sizes; neither is the one the network was traced with."""

Maps = npt.NDArray[np.float32]


def torch_to_onnxruntime(
    networks: Mapping[str, nn.Module], sessions: Mapping[str, InferenceSession], inputs: ParityInputs
) -> Rung:
    """Compare answers on every window, one by one and in batches of three.

    Args:
        networks: deployed networks by name, the very modules that were exported.
        sessions: the exported files, loaded.
        inputs: windows.

    Returns:
        For each network and batch size: the largest |difference| over the range of PyTorch's answers (at least 0.01),
        limit 1e-4, and the cosine, limit 0.99999.
    """
    measurements: list[Measurement] = []
    for role, network in networks.items():
        feeds = np.concatenate(list(inputs.feeds(role).values()))
        reference = _run_torch(network, feeds)
        scale = span(reference, LEAST_SPAN)
        for batch in BATCHES:
            made = _run_session(sessions[role], feeds, batch)
            name = f"{role}, batch {batch}"
            difference = largest_difference(reference, made) / scale
            measurements.append(measured(NAME, "difference", difference, name))
            measurements.append(measured(NAME, "cosine", cosine(reference, made), name))
    return Rung(
        name=NAME,
        compares="answers of rewritten PyTorch in float64 and of the exported file in ONNX Runtime in float32",
        inputs=inputs.hashes(),
        measurements=tuple(measurements),
    )


def _run_torch(network: nn.Module, feeds: Maps) -> Maps:
    exact = Float64Network(network)
    return np.concatenate([exact(torch.from_numpy(feed[None])).numpy() for feed in feeds])


def _run_session(session: InferenceSession, feeds: Maps, batch: int) -> Maps:
    """Run in batches of exactly `batch`; the last one is filled up with the first windows again."""
    (name,), (output,) = session.inputs, session.outputs
    made: list[Maps] = []
    for start in range(0, len(feeds), batch):
        indices = np.arange(start, start + batch) % len(feeds)
        made.append(session.run({name: np.ascontiguousarray(feeds[indices])})[output])
    return np.concatenate(made)[: len(feeds)]
