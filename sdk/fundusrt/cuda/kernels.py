"""The prebuilt kernels of `fundusrt.kernels` on a GPU: loaded from the package, launched as `launches` describes."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from fundusrt.cuda.driver import CudaDevice
from fundusrt.errors import BackendUnavailable
from fundusrt.kernels.launches import Launch
from fundusrt.kernels.module import fat_binary

__all__ = ["KernelModule"]


class KernelModule:
    """The loaded module; its functions are looked up and typed once, by the arguments of their first launch.

    Args:
        device: made inside its `current`.

    Raises:
        BackendUnavailable: the package's binary has no code for this GPU.
    """

    def __init__(self, device: CudaDevice) -> None:
        cuda = device.cuda
        try:
            self._module: Any = cuda.module_from_buffer(fat_binary())
        except cuda.Error as error:
            raise BackendUnavailable(
                f"the kernels of FundusRT on {device.gpu.name}",
                got=f"{device.gpu.capability}: {' '.join(str(error).split())}",
                expected="a GPU of compute capability 7.5 or later, with a driver for CUDA 13",
                fix="update the driver, or pass device='cpu'",
            ) from error
        self._functions: dict[str, Any] = {}
        self._lock = threading.Lock()

    def run(self, launch: Launch, stream: Any) -> None:
        """Enqueue one launch on a stream."""
        function = self._functions.get(launch.kernel)
        if function is None:
            with self._lock:
                function = self._module.get_function(launch.kernel)
                function.prepare([type(argument) for argument in launch.arguments])
                self._functions[launch.kernel] = function
        function.prepared_async_call(launch.grid, launch.block, stream, *launch.arguments)

    def run_all(self, launches: Iterable[Launch], stream: Any) -> None:
        """Enqueue launches one after another."""
        for launch in launches:
            self.run(launch, stream)

    def close(self) -> None:
        """Unload the module; inside the device's `current`."""
        self._functions.clear()
        self._module = None
