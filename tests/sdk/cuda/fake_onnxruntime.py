"""ONNX Runtime with GPU providers, as far as this project uses it, over the fake GPU; it falls back, and picks
convolutions by timing them, as the real one does where nobody forbids it, so that a missing guard shows."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

CPU = "CPUExecutionProvider"


class Fake:
    """Plays the module `onnxruntime`.

    Args:
        cuda: the fake GPU.
        providers: what the installed wheel has.
        loads: those of them whose libraries load.
        leaves: nodes that the GPU provider does not take, and would give to the CPU.
        graphs: whether a provider captures graphs.
    """

    __version__ = "fake"

    def __init__(
        self, cuda: Any, providers: tuple[str, ...], *, loads: bool = True, leaves: bool = False, graphs: bool = True
    ) -> None:
        fake = self
        self.cuda, self.providers, self.loads, self.leaves, self.graphs = cuda, providers, loads, leaves, graphs
        self.sessions: list[Any] = []
        self.registered: dict[str, str] = {}

        class SessionOptions:
            log_severity_level = 2
            use_deterministic_compute = False

            def __init__(self) -> None:
                self.entries: dict[str, str] = {}
                self.devices: list[Any] = []

            def add_session_config_entry(self, key: str, value: str) -> None:
                self.entries[key] = value

            def add_provider_for_devices(self, devices: Any, settings: dict[str, str]) -> None:
                self.devices = [(device.ep_name, settings) for device in devices]

        class RunOptions:
            def __init__(self) -> None:
                self.entries: dict[str, str] = {}

            def add_run_config_entry(self, key: str, value: str) -> None:
                self.entries[key] = value

        class Binding:
            def __init__(self) -> None:
                self.inputs: dict[str, Any] = {}
                self.outputs: dict[str, Any] = {}

            def bind_input(self, name: str, device: str, ordinal: int, kind: Any, shape: Any, address: int) -> None:
                assert (device, ordinal, kind) == ("cuda", 0, np.float32)
                self.inputs[name] = tuple(shape), address

            def bind_output(self, name: str, device: str, ordinal: int, kind: Any, shape: Any, address: int) -> None:
                assert (device, ordinal, kind) == ("cuda", 0, np.float32)
                self.outputs[name] = tuple(shape), address

        class InferenceSession:
            def __init__(self, model: bytes, options: Any, providers: Any = None, enable_fallback: int = 1) -> None:
                wanted = list(providers or options.devices)
                assert len(wanted) == 1
                name, self.settings = wanted[0]
                self.options, self.runs, self.fallback = options, 0, bool(enable_fallback)
                self.used = [name, CPU]
                if not fake.loads:
                    if not self.fallback:
                        raise RuntimeError(f"{name}: libcublas.so.13: cannot open shared object file")
                    self.used = [CPU]
                if fake.leaves and options.entries.get("session.disable_cpu_ep_fallback") == "1":
                    raise RuntimeError("nodes are assigned to the default CPU EP, which is disabled by the user")
                self.session = onnxruntime.InferenceSession(model, providers=[CPU])
                timed = name == "CUDAExecutionProvider" and self.settings.get("cudnn_conv_algo_search") != "HEURISTIC"
                self.rounding = np.float32(1e-6 * len(fake.sessions) if timed else 0.0)
                fake.sessions.append(self)

            def disable_fallback(self) -> None:
                self.fallback = False

            def get_providers(self) -> list[str]:
                return self.used

            def io_binding(self) -> Any:
                return Binding()

            def run_with_iobinding(self, binding: Any, options: Any) -> None:
                graph = "1" in (
                    self.settings.get("enable_cuda_graph"),
                    self.settings.get("trt_cuda_graph_enable"),
                )
                if graph and not fake.graphs and self.runs == 1:
                    raise RuntimeError("cudaErrorStreamCaptureUnsupported")
                self.runs += 1
                stream = fake.cuda.streams[int(self.settings["user_compute_stream"])]

                def work() -> None:
                    feeds = {name: view(fake.cuda, *where) for name, where in binding.inputs.items()}
                    for name, where in binding.outputs.items():
                        view(fake.cuda, *where)[...] = self.session.run([name], feeds)[0] + self.rounding

                stream.enqueue(work)
                if options.entries.get("disable_synchronize_execution_providers") != "1":
                    stream.synchronize()

        self.SessionOptions, self.RunOptions, self.InferenceSession = SessionOptions, RunOptions, InferenceSession

    def get_available_providers(self) -> list[str]:
        return [*self.providers, CPU]

    def register_execution_provider_library(self, name: str, path: str) -> None:
        if not self.loads:
            raise RuntimeError("libcuda.so.1: cannot open shared object file")
        self.registered[name] = path

    def get_ep_devices(self) -> list[Any]:
        return [SimpleNamespace(ep_name=name) for name in self.registered]


def view(cuda: Any, shape: tuple[int, ...], address: int) -> Any:
    count = int(np.prod(shape))
    cuda.check(address, 4 * count)
    return np.frombuffer((ctypes.c_float * count).from_address(address), np.float32).reshape(shape)
