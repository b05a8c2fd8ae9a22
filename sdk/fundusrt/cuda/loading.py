"""From a bundle to its networks on a GPU."""

from __future__ import annotations

from collections.abc import Mapping

from fundusrt.backends.device_networks import open_device_networks
from fundusrt.bundle import Bundle
from fundusrt.cuda.driver import cuda_device
from fundusrt.cuda.runtime import DEFAULT_LANES, CudaRuntime
from fundusrt.manifest import VariantSpec

__all__ = ["open_runtime"]


def open_runtime(
    backend: str, bundle: Bundle, variants: Mapping[str, VariantSpec], batch: int | None, lanes: int | None
) -> CudaRuntime:
    """Open the networks of a bundle on the first GPU; arguments and errors as of `open_device_networks`."""
    return CudaRuntime(
        cuda_device(),
        lambda device: open_device_networks(backend, device, bundle, variants, batch),
        lanes=lanes or DEFAULT_LANES,
    )
