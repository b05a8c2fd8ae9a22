"""ONNX Runtime on the CPU. The only file that imports onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fundusrt.backends.base import Array
from fundusrt.errors import BackendUnavailable, BundleError
from fundusrt.manifest import TensorSpec

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["OnnxRuntimeSession", "import_onnxruntime"]

CPU = "CPUExecutionProvider"


def import_onnxruntime() -> Any:
    """Return the onnxruntime module.

    Raises:
        BackendUnavailable: it is not installed or does not load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailable(
            "backend 'onnxruntime'",
            got=f"import failed ({error})",
            expected="the onnxruntime package",
            fix='pip install "fundusrt[cpu]"',
        ) from error
    return onnxruntime


class OnnxRuntimeSession:
    """One ONNX model on ONNX Runtime's CPU provider.

    Args:
        model: the bytes of a self-contained ONNX file.
        source: its name, for messages.
        threads: threads for one operator, or None for one per core.

    Raises:
        BackendUnavailable: onnxruntime is missing.
        BundleError: the file is not a model that ONNX Runtime accepts.
    """

    def __init__(self, model: bytes, *, source: str, threads: int | None = None) -> None:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads take the cores away from the stages between two network calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Fail rather than run anything elsewhere than asked.
        try:
            session = ort.InferenceSession(model, options, providers=[CPU])
        except Exception as error:  # the runtime raises a dozen unrelated types; all mean the file is not usable
            raise BundleError(
                source,
                got=f"ONNX Runtime {ort.__version__}: {error}",
                expected="a valid ONNX model",
                fix="export the bundle again",
            ) from error
        self._session: onnxruntime.InferenceSession | None = session
        self._inputs = {tensor.name: _spec(tensor, source) for tensor in session.get_inputs()}
        self._outputs = {tensor.name: _spec(tensor, source) for tensor in session.get_outputs()}
        self._source = source

    @property
    def name(self) -> str:
        """Backend and provider that run."""
        return f"onnxruntime:{CPU}"

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Input tensors by name."""
        return self._inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Output tensors by name."""
        return self._outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; the caller owns the returned arrays."""
        if self._session is None:
            raise BackendUnavailable(self._source, got="a call after close()", fix="load the pipeline again")
        names = list(self._outputs)
        values = self._session.run(names, dict(feeds))
        return {name: np.asarray(value, np.float32) for name, value in zip(names, values, strict=True)}

    def close(self) -> None:
        """Free the network."""
        self._session = None


def _spec(tensor: Any, source: str) -> TensorSpec:
    if tensor.type != "tensor(float)":
        raise BundleError(f"{source}, tensor {tensor.name}", got=tensor.type, expected="tensor(float)")
    return TensorSpec(name=tensor.name, dtype="float32", shape=tuple(tensor.shape))
