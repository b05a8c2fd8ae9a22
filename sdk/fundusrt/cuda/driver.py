"""The primary context of one GPU: the only file that imports pycuda.

PyCUDA's own way (`pycuda.autoinit`) makes a second context, whose memory and streams TensorRT, ONNX Runtime and PyTorch
cannot use. The primary context is the one they all share, so PyCUDA retains that, and each host thread pushes it for as
long as it works with it.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Generator
from importlib import import_module
from typing import Any

from fundusrt.errors import BackendUnavailable
from fundusrt.nvidia_driver import Gpu, probe_driver

__all__ = ["CudaDevice", "cuda_device", "import_pycuda"]

_DEVICES: dict[tuple[Any, int], CudaDevice] = {}
_LOCK = threading.Lock()


def import_pycuda() -> Any:
    """Return the module `pycuda.driver`.

    Raises:
        BackendUnavailable: no NVIDIA driver, no GPU, or no PyCUDA that loads.
    """
    driver = probe_driver()
    if driver.problem is not None:
        raise BackendUnavailable(
            "device 'cuda'",
            got=f"NVIDIA driver: {driver.problem}",
            expected="an NVIDIA GPU and its driver",
            fix="install the driver, or pass device='cpu'",
        )
    try:
        return import_module("pycuda.driver")
    except ImportError as error:
        raise BackendUnavailable(
            "device 'cuda'",
            got=f"import failed ({error})",
            expected="PyCUDA",
            fix='pip install "fundusrt[cuda]"; it is compiled on installation and needs a C++ compiler and the CUDA '
            "toolkit (docs/gpu.md)",
        ) from error


def cuda_device(ordinal: int = 0) -> CudaDevice:
    """Return the process's one `CudaDevice` of a GPU.

    PyCUDA ties memory to the context object it was made with, so all threads have to push the same one.

    Raises:
        BackendUnavailable: see `import_pycuda`; or there is no such GPU.
    """
    cuda = import_pycuda()
    with _LOCK:
        key = cuda, ordinal
        if key not in _DEVICES:
            _DEVICES[key] = CudaDevice(cuda, ordinal)
            atexit.register(_DEVICES[key].release)
        return _DEVICES[key]


class CudaDevice:
    """One GPU and its primary context. Get it from `cuda_device`.

    Attributes:
        cuda: the module `pycuda.driver`.
        ordinal: index of the GPU among those the driver offers.
        gpu: its name and compute capability.
    """

    def __init__(self, cuda: Any, ordinal: int) -> None:
        self.cuda = cuda
        self.ordinal = ordinal
        try:
            cuda.init()
            device = cuda.Device(ordinal)
            major, minor = device.compute_capability()
            self.gpu = Gpu(str(device.name()), f"sm{major}{minor}")
            self._context = device.retain_primary_context()
        except cuda.Error as error:
            raise BackendUnavailable(
                f"GPU {ordinal}", got=str(error), expected="a GPU that answers", fix="run `nvidia-smi`"
            ) from error

    @contextlib.contextmanager
    def current(self) -> Generator[None]:
        """Make the context the calling thread's own for the block; what CUDA raises in it becomes an error of ours.

        Raises:
            BackendUnavailable: CUDA failed, for example for lack of memory.
        """
        try:
            self._context.push()
        except self.cuda.Error as error:
            raise self._failed(error) from error
        try:
            yield
        except self.cuda.Error as error:
            raise self._failed(error) from error
        finally:
            self.cuda.Context.pop()

    def release(self) -> None:
        """Give the primary context back at the end of the process; nothing may use the device afterwards."""
        # PyCUDA would do it by itself, but with the call for contexts that are not primary, which fails.
        with contextlib.suppress(self.cuda.Error):
            self._context.detach()

    def free_memory(self) -> tuple[int, int]:
        """Return the free and the whole memory of the GPU in bytes; asked inside `current`."""
        free, total = self.cuda.mem_get_info()
        return int(free), int(total)

    def _failed(self, error: Exception) -> BackendUnavailable:
        return BackendUnavailable(
            f"GPU {self.ordinal} ({self.gpu.name})",
            got=f"{type(error).__name__}: {' '.join(str(error).split())}",
            expected="a GPU with free memory that answers",
            fix="close other programs on the GPU, lower `lanes` or `batch`, or run `fundusrt doctor`",
        )
