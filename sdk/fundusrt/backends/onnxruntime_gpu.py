"""ONNX Runtime's GPU providers with device I/O binding: exactly the provider asked for, or an error.

ONNX Runtime would otherwise go on with the CPU where a provider does not load, and give it the nodes a provider does
not take; both are turned off, and what a session says it runs on is looked at. The TensorRT providers would compute
float32 in TF32 and have no option against it (microsoft/onnxruntime#26029): only the environment turns it off.
"""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from fundusrt.backends.gpu_providers import Provider
from fundusrt.backends.onnxruntime import import_onnxruntime
from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.driver import CudaDevice
from fundusrt.cuda.lane import Lane
from fundusrt.cuda.network import ManifestTensors
from fundusrt.engine_folder import private_folder
from fundusrt.errors import BackendUnavailable
from fundusrt.manifest import NetworkSpec

__all__ = ["OnnxRuntimeNetwork"]

_NO_TF32 = "NVIDIA_TF32_OVERRIDE"  # read by NVIDIA's libraries: "0" turns TF32 off in the whole process
_PLUGINS: dict[str, str] = {"NvTensorRTRTXExecutionProvider": "onnxruntime-ep-nv-tensorrt-rtx"}


class OnnxRuntimeNetwork(ManifestTensors):
    """One ONNX model on a GPU provider. Each lane has a session of its own, since a session keeps to one stream.

    Args:
        model: the bytes of a self-contained ONNX file.
        spec: what the manifest says of the network.
        provider: the provider.
        batch: images of one run.
        device: the GPU.
        source: name of the network, for messages.
        engine_folder: where the TensorRT providers keep what they compile; made, and this user's alone.

    Raises:
        BackendUnavailable: onnxruntime or the provider is missing, or the provider would compute in TF32.
    """

    def __init__(
        self,
        model: bytes,
        spec: NetworkSpec,
        provider: Provider,
        *,
        batch: int,
        device: CudaDevice,
        source: str,
        engine_folder: Path,
    ) -> None:
        self._ort = import_onnxruntime()
        self._model = model
        self._spec = spec
        self._provider: Provider = provider
        self._batch = batch
        self._ordinal = device.ordinal
        self._source = source
        self._engine_folder = engine_folder
        if provider in _PLUGINS:
            _register_plugin(self._ort, provider)
        have = list(self._ort.get_available_providers())
        if provider not in have and not self._plugin_devices():
            raise BackendUnavailable(
                f"{provider} of ONNX Runtime {self._ort.__version__}",
                got=f"the providers {', '.join(have)}",
                expected=provider,
                fix=_install(provider),
            )
        if provider != "CUDAExecutionProvider":
            _refuse_tf32(provider, device)

    @property
    def name(self) -> str:
        """Backend, provider and batch."""
        return f"onnxruntime:{self._provider}, batch {self._batch}"

    def bind(self, lane: Lane) -> BoundSession:
        """Make a session on a lane's stream, and run it until its CUDA graph, if it captures one, is there.

        Raises:
            BackendUnavailable: the provider does not load, or does not take every node of the model.
        """
        arrays = [
            lane.array(f"{self._source}, {tensor.name}", (self._batch, *map(int, tensor.shape[1:])), np.float32)
            for tensor in (self._spec.input, self._spec.output)
        ]
        lane.zero(arrays[0])
        lane.synchronize()
        try:
            return self._ready(lane, arrays[0], arrays[1], graph=True)
        except Exception as error:  # the runtime raises a dozen unrelated types
            refusal = f"network without a CUDA graph ({self.name}): {_one_line(error)}"
        try:
            bound = self._ready(lane, arrays[0], arrays[1], graph=False)
        except BackendUnavailable:
            raise
        except Exception as error:  # as above
            raise BackendUnavailable(
                f"{self._source} on {self.name}",
                got=f"ONNX Runtime {self._ort.__version__}: {_one_line(error)}",
                expected="a provider that loads and takes every node",
                fix="run `fundusrt doctor`, or pass another backend",
            ) from error
        bound.notes = (refusal,)
        return bound

    def close(self) -> None:
        """Forget the model; the sessions are the lanes'."""
        self._model = b""

    def _ready(self, lane: Lane, feed: DeviceArray, answer: DeviceArray, *, graph: bool) -> BoundSession:
        ort = self._ort
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what it would write to stderr is in the exception it raises
        options.use_deterministic_compute = True
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.add_session_config_entry("session.load_model_format", "ONNX")
        settings = self._settings(lane, graph=graph)
        if self._provider in _PLUGINS:
            options.add_provider_for_devices(self._plugin_devices(), settings)
            session = ort.InferenceSession(self._model, options, enable_fallback=0)
        else:
            session = ort.InferenceSession(
                self._model, options, providers=[(self._provider, settings)], enable_fallback=0
            )
        session.disable_fallback()
        runs = list(session.get_providers())
        if not runs or runs[0] != self._provider:
            raise BackendUnavailable(
                self._source,
                got=f"a session on {', '.join(runs) or 'nothing'}",
                expected=self._provider,
                fix=f"{_install(self._provider)}; `fundusrt doctor` looks for its libraries",
            )
        binding = session.io_binding()
        for bind, tensor, array in (
            (binding.bind_input, self._spec.input, feed),
            (binding.bind_output, self._spec.output, answer),
        ):
            bind(tensor.name, "cuda", self._ordinal, np.float32, list(array.shape), array.address)
        bound = BoundSession(self, session, binding, ort.RunOptions(), feed, answer)
        for _ in range(3 if graph else 1):  # it captures in its second run
            bound.enqueue()
        lane.synchronize()
        return bound

    def _settings(self, lane: Lane, *, graph: bool) -> dict[str, str]:
        """Return the provider's options. fp32 is computed in fp32, as it was certified: no TF32."""
        switch = "1" if graph else "0"
        settings = {
            "device_id": str(self._ordinal),
            "user_compute_stream": str(lane.handle),
        }
        shapes = f"{self._spec.input.name}:{'x'.join(map(str, (self._batch, *self._spec.input.shape[1:])))}"
        if self._provider == "CUDAExecutionProvider":
            return settings | {
                "has_user_compute_stream": "1",
                "arena_extend_strategy": "kSameAsRequested",
                "use_tf32": "0",
                # By rule, not by timing: lanes have sessions of their own, which must compute the same numbers
                # (microsoft/onnxruntime#19822).
                "cudnn_conv_algo_search": "HEURISTIC",
                "enable_cuda_graph": switch,
            }
        folder = str(private_folder(self._engine_folder))
        if self._provider == "TensorrtExecutionProvider":
            profile = {f"trt_profile_{size}_shapes": shapes for size in ("min", "opt", "max")}
            return (
                settings
                | profile
                | {
                    "has_user_compute_stream": "1",
                    "trt_engine_cache_enable": "1",
                    "trt_engine_cache_path": folder,
                    "trt_timing_cache_enable": "1",
                    "trt_timing_cache_path": folder,
                    "trt_cuda_graph_enable": switch,
                }
            )
        profile = {f"nv_profile_{size}_shapes": shapes for size in ("min", "opt", "max")}
        return (
            settings
            | profile
            | {
                "has_user_compute_stream": "1",
                "nv_runtime_cache_path": folder,
                "enable_cuda_graph": switch,
            }
        )

    def _plugin_devices(self) -> list[Any]:
        if not hasattr(self._ort, "get_ep_devices"):
            return []
        return [device for device in self._ort.get_ep_devices() if device.ep_name == self._provider]


class BoundSession:
    """A session on one lane's stream, with fixed addresses. Make one with `OnnxRuntimeNetwork.bind`."""

    def __init__(
        self,
        network: OnnxRuntimeNetwork,
        session: Any,
        binding: Any,
        options: Any,
        feed: DeviceArray,
        answer: DeviceArray,
    ) -> None:
        # Not to wait for the stream after each run: the lane does.
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self._network = network
        self._session: Any = session
        self._binding: Any = binding
        self._options = options
        self.input = feed
        self.output = answer
        self.notes: tuple[str, ...] = ()

    def enqueue(self) -> None:
        """Enqueue one run.

        Raises:
            BackendUnavailable: ONNX Runtime failed.
        """
        try:
            self._session.run_with_iobinding(self._binding, self._options)
        except Exception as error:  # as above
            raise BackendUnavailable(
                self._network.name,
                got=f"ONNX Runtime failed: {_one_line(error)}",
                expected="a run",
                fix="run `fundusrt doctor`",
            ) from error

    def close(self) -> None:
        """Free the session."""
        self._binding = None
        self._session = None


def _register_plugin(ort: Any, provider: str) -> None:
    """Tell ONNX Runtime of the library that has a provider, once a process."""
    if not hasattr(ort, "register_execution_provider_library"):
        return
    if any(device.ep_name == provider for device in ort.get_ep_devices()):
        return
    for distribution in metadata.distributions():
        if not str(distribution.metadata["Name"]).startswith(_PLUGINS[provider]):
            continue
        for file in distribution.files or ():
            if "providers_nv_tensorrt_rtx" in file.name and file.suffix in (".so", ".dll"):
                try:
                    ort.register_execution_provider_library(provider, str(distribution.locate_file(file)))
                except Exception as error:  # a library of it is missing, or the driver
                    raise BackendUnavailable(
                        provider, got=_one_line(error), expected="its library loaded", fix="run `fundusrt doctor`"
                    ) from error
                return


def _refuse_tf32(provider: str, device: CudaDevice) -> None:
    """Refuse a GPU that has TF32 (compute capability 8.0 on) unless the environment turns it off."""
    if int(device.gpu.capability[2:]) < 80 or os.environ.get(_NO_TF32) == "0":
        return
    raise BackendUnavailable(
        f"{provider} on {device.gpu.name}",
        got="float32 computed in TF32, which the certificate did not measure and the provider has no option against",
        expected=f"{_NO_TF32}=0 in the environment",
        fix=f"set {_NO_TF32}=0 before the process starts, or pass backend='tensorrt' or 'onnxruntime'",
    )


def _install(provider: str) -> str:
    package = {
        "CUDAExecutionProvider": '"fundusrt[gpu]"',
        "TensorrtExecutionProvider": '"fundusrt[gpu,tensorrt]"',
        "NvTensorRTRTXExecutionProvider": '"fundusrt[gpu]" onnxruntime-ep-nv-tensorrt-rtx-cu13',
    }[provider]
    return f"pip uninstall onnxruntime, then pip install {package}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
