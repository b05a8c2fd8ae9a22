"""ONNX Runtime on the CPU. The only file that imports onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fundusrt.backends.base import Array
from fundusrt.backends.runtime_import import import_runtime
from fundusrt.errors import BackendUnavailable, BundleError
from fundusrt.manifest import TensorSpec

__all__ = ["OnnxRuntimeSession", "import_onnxruntime"]

CPU = "CPUExecutionProvider"


def import_onnxruntime() -> Any:
    """Return the onnxruntime module; raises `BackendUnavailable`, see `import_runtime`."""
    return import_runtime("onnxruntime", "InferenceSession", extra="cpu")


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
        options.log_severity_level = 4  # what the runtime would write to stderr is in the exception it raises
        if threads is not None:
            options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads take the cores away from the stages between two network calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Only what the bundle's checks understand: ONNX Runtime would also recognise its own file format.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # Fail rather than run anything elsewhere than asked.
        try:
            session = ort.InferenceSession(model, options, providers=[CPU])
        except Exception as error:  # the runtime raises a dozen unrelated types; all mean the file is not usable
            raise BundleError(
                source,
                got=f"ONNX Runtime {ort.__version__}: {_one_line(error)}",
                expected="a valid ONNX model",
                fix="export the bundle again",
            ) from error
        self._session: Any = session
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
        """Run once; the caller owns the returned arrays.

        Raises:
            BackendUnavailable: closed, or ONNX Runtime failed, e.g. for lack of memory.
        """
        session = self._session
        if session is None:
            raise BackendUnavailable(
                self._source, got="a call after close()", expected="an open session", fix="load the pipeline again"
            )
        names = list(self._outputs)
        try:
            values = session.run(names, dict(feeds))
        except Exception as error:  # as above: unrelated types, one for each of the runtime's status codes
            raise BackendUnavailable(
                self._source,
                got=f"ONNX Runtime failed: {_one_line(error)}",
                expected=", ".join(f"{name} {spec.shape}" for name, spec in self._inputs.items()),
                fix="run `fundusrt verify` on this machine",
            ) from error
        return {name: np.asarray(value, np.float32) for name, value in zip(names, values, strict=True)}

    def close(self) -> None:
        """Free the network."""
        self._session = None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _spec(tensor: Any, source: str) -> TensorSpec:
    if tensor.type != "tensor(float)":
        raise BundleError(
            f"{source}, tensor {tensor.name}",
            got=tensor.type,
            expected="tensor(float)",
            fix="export the network with fp32 tensors",
        )
    shape = tuple("?" if length is None else length for length in tensor.shape)  # None: a free dimension without a name
    return TensorSpec(name=tensor.name, dtype="float32", shape=shape)
