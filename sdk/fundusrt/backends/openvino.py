"""OpenVINO on the CPU. The only file that imports openvino."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from fundusrt.backends.base import Array
from fundusrt.backends.runtime_import import import_runtime
from fundusrt.errors import BackendUnavailable, BundleError
from fundusrt.manifest import TensorSpec

__all__ = ["DEVICE", "OpenVinoSession", "import_openvino", "openvino_core"]

DEVICE = "CPU"
# On processors that have bfloat16 the plugin would otherwise compute in it, without being asked.
_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}

_CORES: dict[Any, Any] = {}
_LOCK = threading.Lock()


def import_openvino() -> Any:
    """Return the openvino module; raises `BackendUnavailable`, see `import_runtime`."""
    return import_runtime("openvino", "Core", extra="openvino")


def openvino_core() -> Any:
    """Return the process's one Core, with its plugins loaded for good.

    OpenVINO's CPU plugin gives the thread that loads it a stack for signals, and takes it away when the last Core is
    gone, from whichever thread that happens in. The next signal, Ctrl-C for one, would then end the process.

    Raises:
        BackendUnavailable: openvino is missing, or has no CPU plugin.
    """
    openvino = import_openvino()
    with _LOCK:
        if openvino not in _CORES:
            _CORES[openvino] = openvino.Core()
        core = _CORES[openvino]
        devices = core.available_devices
    if DEVICE not in devices:
        raise BackendUnavailable(
            "backend 'openvino'",
            got=f"the devices {', '.join(devices) or 'none'}",
            expected=DEVICE,
            fix='pip install --force-reinstall "fundusrt[openvino]"',
        )
    return core


class OpenVinoSession:
    """One ONNX model on OpenVINO's CPU plugin, computing in float32; threads that share it take turns.

    Args:
        model: the bytes of a self-contained ONNX file.
        source: its name, for messages.
        threads: threads of one call, or None for one per core.

    Raises:
        BackendUnavailable: openvino is missing, or has no CPU plugin.
        BundleError: the file is not a model that OpenVINO accepts.
    """

    def __init__(self, model: bytes, *, source: str, threads: int | None = None) -> None:
        openvino = import_openvino()
        options: dict[str, Any] = {**_FLOAT32, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        core = openvino_core()
        try:
            compiled = core.compile_model(core.read_model(model), DEVICE, options)
        except Exception as error:  # the runtime raises RuntimeError and its own types; all mean the file is not usable
            raise BundleError(
                source,
                got=f"OpenVINO {openvino.__version__}: {_one_line(error)}",
                expected="a valid ONNX model",
                fix="export the bundle again",
            ) from error
        used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if used != "f32":
            raise BackendUnavailable(
                source, got=f"precision {used}", expected="f32", fix="use backend='onnxruntime' on this machine"
            )
        self._request: Any = compiled.create_infer_request()
        self._turn = threading.Lock()  # a request is busy until its answer is read; one stream runs one anyway
        self._inputs = {port.any_name: _spec(port, source) for port in compiled.inputs}
        self._outputs = {port.any_name: _spec(port, source) for port in compiled.outputs}
        self._source = source

    @property
    def name(self) -> str:
        """Backend and device that run."""
        return f"openvino:{DEVICE}"

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
            BackendUnavailable: closed, or OpenVINO failed, e.g. for lack of memory or an input of another shape.
        """
        request = self._request
        if request is None:
            raise BackendUnavailable(
                self._source, got="a call after close()", expected="an open session", fix="load the pipeline again"
            )
        try:
            self._check(feeds)
            with self._turn:
                values = request.infer(
                    {name: np.ascontiguousarray(feed) for name, feed in feeds.items()}, share_inputs=True
                )
                # The request writes its next answer into the same memory.
                return {name: np.array(values[name], np.float32) for name in self._outputs}
        except Exception as error:  # as above
            raise BackendUnavailable(
                self._source,
                got=f"OpenVINO failed: {_one_line(error)}",
                expected=", ".join(f"{name} {spec.shape}" for name, spec in self._inputs.items()),
                fix="run `fundusrt verify` on this machine",
            ) from error

    def close(self) -> None:
        """Free the network."""
        self._request = None

    def _check(self, feeds: Mapping[str, Array]) -> None:
        """Refuse what OpenVINO would reshape, convert or fill in by itself."""
        if set(feeds) != set(self._inputs):
            raise ValueError(f"inputs {', '.join(sorted(feeds)) or 'none'}")
        for name, feed in feeds.items():
            wanted = self._inputs[name].shape
            fits = len(wanted) == feed.ndim and all(
                isinstance(want, str) or want == got for want, got in zip(wanted, feed.shape, strict=True)
            )
            if feed.dtype != np.float32 or not fits:
                raise ValueError(f"{name} of {feed.dtype} {feed.shape}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _spec(port: Any, source: str) -> TensorSpec:
    if str(port.element_type.to_string()) != "f32":
        raise BundleError(
            f"{source}, tensor {port.any_name}",
            got=port.element_type.to_string(),
            expected="f32",
            fix="export the network with fp32 tensors",
        )
    shape = tuple("?" if length.is_dynamic else int(length.get_length()) for length in port.partial_shape)
    return TensorSpec(name=port.any_name, dtype="float32", shape=shape)
