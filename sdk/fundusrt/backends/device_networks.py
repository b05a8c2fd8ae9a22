"""The networks of a bundle on a GPU, by the name of the backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fundusrt.backends.gpu_providers import GPU_PROVIDERS
from fundusrt.backends.onnxruntime_gpu import OnnxRuntimeNetwork
from fundusrt.backends.tensorrt import TensorRTNetwork
from fundusrt.bundle import Bundle
from fundusrt.cuda.driver import CudaDevice
from fundusrt.cuda.network import DeviceNetwork
from fundusrt.engine_cache import EngineCache
from fundusrt.engine_choice import find_engine
from fundusrt.engine_folder import default_engine_folder
from fundusrt.manifest import NetworkSpec, VariantSpec
from fundusrt.tensorrt_flavour import TensorRT, import_tensorrt, import_tensorrt_lean

__all__ = ["DEFAULT_BATCH", "open_device_networks"]

DEFAULT_BATCH = 8
"""Tiles of one run where the backend leaves the choice."""


def open_device_networks(
    backend: str,
    device: CudaDevice,
    bundle: Bundle,
    variants: Mapping[str, VariantSpec],
    batch: int | None,
) -> dict[str, DeviceNetwork]:
    """Open every network of a bundle; called inside the device's `current`.

    Args:
        backend: a backend that runs on `cuda`.
        device: the GPU.
        bundle: the bundle.
        variants: the variant of each network.
        batch: tiles or frames of one run; None for the engine's own, or `DEFAULT_BATCH`. A network that sees the whole
            image gets one.

    Raises:
        EngineMismatch: a TensorRT backend whose engine is not in the cache; names the command that builds it.
        BackendUnavailable: the runtime is missing or refuses.
    """
    opener = _onnxruntime(backend, device, bundle, batch) if backend in GPU_PROVIDERS else None
    opener = opener or _tensorrt(backend, device, bundle, batch)
    opened: dict[str, DeviceNetwork] = {}
    try:
        for name, spec in bundle.manifest.networks.items():
            opened[name] = opener(name, spec, variants[name])
    except BaseException:
        for network in opened.values():
            network.close()
        raise
    return opened


Opener = Callable[[str, NetworkSpec, VariantSpec], DeviceNetwork]


def _onnxruntime(backend: str, device: CudaDevice, bundle: Bundle, batch: int | None) -> Opener:
    def opened(name: str, spec: NetworkSpec, variant: VariantSpec) -> DeviceNetwork:
        several = spec.role == "tile"
        return OnnxRuntimeNetwork(
            bundle.network_bytes(variant),
            spec,
            GPU_PROVIDERS[backend],
            batch=(batch or DEFAULT_BATCH) if several else 1,
            device=device,
            source=f"{bundle.source}, network {name!r}",
            engine_folder=default_engine_folder().with_name(backend),
        )

    return opened


def _tensorrt(backend: str, device: CudaDevice, bundle: Bundle, batch: int | None) -> Opener:
    cache = EngineCache()
    tensorrt = _package(backend)

    def opened(name: str, spec: NetworkSpec, variant: VariantSpec) -> DeviceNetwork:
        size = batch if spec.role == "tile" else 1
        engine = find_engine(
            cache,
            bundle,
            name,
            variant,
            bundle.network_bytes(variant),
            tensorrt,
            device.gpu,
            batch=size,
        )
        jit = f"jit-{engine.record.identity.key()}.cache"
        sealed = cache.sealed_file(jit) if tensorrt.flavour == "tensorrt-rtx" else None
        return TensorRTNetwork(tensorrt, engine, spec, batch=size, jit_cache=sealed)

    return opened


def _package(backend: str) -> TensorRT:
    if backend == "tensorrt-lean":
        return import_tensorrt_lean()
    return import_tensorrt("tensorrt-rtx" if backend == "tensorrt-rtx" else "tensorrt")
