"""What follows a failing rung: the layer at fault, found and named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from fundusrt.certificate import Rung
from fundusrt_export.errors import ParityError
from fundusrt_export.parity.first_divergence import TENSOR_LIMIT, Divergence, first_divergence
from fundusrt_export.parity.float64 import Float64Network
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.network_answers import answers
from fundusrt_export.parity.reproducer import save_reproducer
from fundusrt_export.parity.tensor_trace import TracedTensor, trace_module, trace_onnx

__all__ = ["DivergenceError", "require_same_graph", "require_same_network"]

Maps = npt.NDArray[np.float32]


class DivergenceError(ParityError):
    """A rung that failed, and the layer that is at fault.

    Args:
        rung: that failed.
        network: its name.
        divergence: where it leaves the reference.
        folder: the reproducer, or None where it is not written yet.
    """

    code = "divergence"

    def __init__(self, rung: Rung, network: str, divergence: Divergence, folder: Path | None = None) -> None:
        self.rung, self.network, self.divergence, self.folder = rung, network, divergence, folder
        failed = [figure for figure in rung.measurements if not figure.holds]
        figures = "; ".join(f"{figure.metric} {figure.value:.3g}" for figure in failed)
        super().__init__(
            f"parity ladder, rung {rung.name}, network {network!r}",
            got=(
                f"{figures}; the first diverging tensor is {divergence.tensor} of node {divergence.node}, layer"
                f" {divergence.layer!r}: off by {divergence.difference:.3g}"
            ),
            expected=f"every tensor within {divergence.limit:g}",
            fix="nothing was exported" if folder is None else f"run reproduce.py in {folder}",
        )

    def saved(self, folder: Path) -> DivergenceError:
        """Write the reproducer and return the error that names its folder.

        Raises:
            OutputError: it cannot be written.
        """
        save_reproducer(self.divergence, folder, self.rung.name)
        return DivergenceError(self.rung, self.network, self.divergence, folder)


def require_same_network(
    rung: Rung, networks: Callable[[], Mapping[str, nn.Module]], files: Mapping[str, bytes], inputs: ParityInputs
) -> None:
    """Refuse a rung from PyTorch to a runtime that does not hold, naming the first diverging tensor.

    Args:
        rung: measured on these.
        networks: returns the very modules that were exported, by name; called only where the rung does not hold.
        files: their ONNX files.
        inputs: windows.

    Raises:
        DivergenceError: the rung does not hold.
    """
    if not rung.holds:
        modules = networks()
        exact = {name: Float64Network(module) for name, module in modules.items()}

        def truth(name: str, feed: Maps) -> Maps:
            import torch

            return exact[name](torch.from_numpy(feed)).numpy()

        _require(rung, truth, lambda name, feed: trace_module(modules[name], feed), files, inputs, TENSOR_LIMIT)


def require_same_graph(
    rung: Rung,
    reference: Mapping[str, bytes],
    files: Mapping[str, bytes],
    inputs: ParityInputs,
    limit: float = TENSOR_LIMIT,
) -> None:
    """Refuse a rung between two graphs of the same network, variants or precisions, likewise.

    Args:
        rung: measured on these.
        reference: the certified ONNX files, by name.
        files: the variant's.
        inputs: windows.
        limit: relative difference of a tensor; another precision needs its own.

    Raises:
        DivergenceError: the rung does not hold.
    """
    if not rung.holds:
        _require(
            rung,
            lambda name, feed: answers(reference[name], {"": feed}),
            lambda name, feed: trace_onnx(reference[name], feed),
            files,
            inputs,
            limit,
        )


def _require(
    rung: Rung,
    truth: Callable[[str, Maps], Maps],
    trace: Callable[[str, Maps], list[TracedTensor]],
    files: Mapping[str, bytes],
    inputs: ParityInputs,
    limit: float,
) -> None:
    for name, content in files.items():
        failed = any(
            figure.metric.startswith(f"{name},") or figure.metric.startswith(f"{name}:")
            for figure in rung.measurements
            if not figure.holds
        )
        if not failed:
            continue
        feed = _worst(inputs.feeds(name), content, lambda feed, name=name: truth(name, feed))
        divergence = first_divergence(trace(name, feed), content, feed, limit)
        if divergence is not None:
            raise DivergenceError(rung, name, divergence)


def _worst(feeds: Mapping[str, Maps], content: bytes, truth: Callable[[Maps], Maps]) -> Maps:
    """Return the window whose answer is furthest off, or the first three together where none is off by itself."""
    off = []
    for window, feed in feeds.items():
        expected, made = truth(feed), answers(content, {window: feed})
        same = expected.shape == made.shape and bool(np.isfinite(made).all())
        off.append(float(np.abs(expected - made).max()) if same else float("inf"))
    if max(off) <= TENSOR_LIMIT:
        return np.concatenate(list(feeds.values())[:3])
    return list(feeds.values())[int(np.argmax(off))]
