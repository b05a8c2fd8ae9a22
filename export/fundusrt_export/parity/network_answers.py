"""What a network answers to windows, whatever runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fundusrt.backends.base import InferenceSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession

__all__ = ["Runnable", "answers"]

Maps = npt.NDArray[np.float32]
Runnable = InferenceSession | bytes
"""An open session, or the bytes of a self-contained ONNX file, to be run on ONNX Runtime."""


def answers(network: Runnable, feeds: Mapping[str, Maps]) -> Maps:
    """Return the answers to (1, C, h, w) windows, one by one, as (windows, ...) float32.

    Raises:
        BundleError: bytes that ONNX Runtime does not accept.
    """
    if isinstance(network, bytes):
        with contextlib.closing(OnnxRuntimeSession(network, source="network to compare")) as session:
            return answers(session, feeds)
    (name,), (output,) = network.inputs, network.outputs
    return np.concatenate([network.run({name: np.ascontiguousarray(feed)})[output] for feed in feeds.values()])
