"""Which runtime runs the networks on this machine: TensorRT, ONNX Runtime's CUDA provider or, failing both, PyTorch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fundusrt.bundle import Bundle
from fundusrt.cuda.driver import CudaDevice
from fundusrt.cuda.network import DeviceNetwork
from fundusrt.cuda.runtime import CudaRuntime

__all__ = ["Networks", "choose"]

Open = Callable[[CudaDevice, Bundle, int], dict[str, DeviceNetwork]]


@dataclass
class Networks:
    """What runs networks here.

    Attributes:
        used: its name.
        refused: why each one before it in order was not taken.
        open: opens a bundle's networks: device, bundle, tiles of one run.
    """

    used: str
    refused: dict[str, str]
    open: Open

    def runtime(self, device: CudaDevice, bundle: Bundle, batch: int, lanes: int = 2) -> CudaRuntime:
        """Return an open runtime for a bundle."""
        return CudaRuntime(device, lambda gpu: self.open(gpu, bundle, batch), lanes=lanes)


def choose(device: CudaDevice, bundle: Bundle) -> Networks:
    """Return the first that opens the bundle's networks and runs them."""
    refused: dict[str, str] = {}
    for name, opener in (("tensorrt", _tensorrt), ("onnxruntime", _onnxruntime), ("torch", _torch)):
        try:
            found = opener(device)
            with_one = CudaRuntime(device, lambda gpu, found=found: found(gpu, bundle, 1), lanes=1)
            used = next(iter(with_one.networks.values())).name
            with_one.close()
        except Exception as error:
            refused[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            continue
        return Networks(used.rpartition(", batch")[0] or used, refused, found)
    raise RuntimeError(f"nothing runs networks here: {refused}")


def _tensorrt(device: CudaDevice) -> Open:
    """Engines are built into a cache of the check's own."""
    from fundusrt.backends.tensorrt import TensorRTNetwork
    from fundusrt.engine_cache import EngineCache
    from fundusrt.engine_identity import BatchRange
    from fundusrt.tensorrt_flavour import import_tensorrt
    from fundusrt_export.engines.bundle_build import BuildRequest, build_bundle
    from fundusrt_export.engines.gpu_targets import GpuTarget

    tensorrt: Any = import_tensorrt("tensorrt")
    cache = EngineCache(Path(tempfile.mkdtemp(prefix="gpu-check-engines-")) / "engines")

    def opened(gpu: CudaDevice, bundle: Bundle, batch: int) -> dict[str, DeviceNetwork]:
        request = BuildRequest(batch=BatchRange(min=batch, opt=batch, max=batch))
        built = build_bundle(bundle, tensorrt, [GpuTarget(gpu.gpu, None)], cache, request)
        return {
            each.network: TensorRTNetwork(tensorrt, each.engine, bundle.manifest.networks[each.network])
            for each in built
        }

    return opened


def _onnxruntime(device: CudaDevice) -> Open:
    from fundusrt.backends.device_networks import open_device_networks

    def opened(gpu: CudaDevice, bundle: Bundle, batch: int) -> dict[str, DeviceNetwork]:
        variants = {name: variant_of(spec.variants, "onnxruntime") for name, spec in bundle.manifest.networks.items()}
        return open_device_networks("onnxruntime", gpu, bundle, variants, batch)

    return opened


def _torch(device: CudaDevice) -> Open:
    from benchmarks.gpu_check.torch_network import TorchNetwork

    def opened(gpu: CudaDevice, bundle: Bundle, batch: int) -> dict[str, DeviceNetwork]:
        return {
            name: TorchNetwork(
                bundle.network_bytes(variant_of(spec.variants, "tensorrt")),
                spec,
                batch=batch if spec.role == "tile" else 1,
            )
            for name, spec in bundle.manifest.networks.items()
        }

    return opened


def variant_of(variants: Any, target: str) -> Any:
    """Return the float32 variant for a runtime, or the first float32 one."""
    plain = [each for each in variants if each.precision == "fp32"]
    return next((each for each in plain if each.target == target), plain[0])
