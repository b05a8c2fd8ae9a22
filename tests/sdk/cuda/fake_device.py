"""A `CudaDevice` on the fake GPU, with the kernels compiled for the host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fundusrt.cuda import driver, graph
from fundusrt.cuda.driver import CudaDevice
from fundusrt.kernels.launch import Launch
from tests.kernels.host_kernels import HostKernels
from tests.sdk.cuda.fake_cuda import FakeCuda
from tests.sdk.cuda.fake_driver import FakeDriver


def host_runner(library: Path) -> Any:
    """Return what executes a kernel; one at a time, since the compiled ones keep their thread index in a global."""
    kernels, one = HostKernels(library), threading.Lock()

    def run(name: str, grid: Any, block: Any, arguments: Any) -> None:
        with one:
            kernels.run(Launch(name, grid, block, arguments, 0))

    return run


@contextmanager
def fake_device(
    monkeypatch: pytest.MonkeyPatch, run: Any = None, *, refuse: str | None = None, memory: int = 2**40
) -> Iterator[tuple[CudaDevice, FakeCuda, FakeDriver]]:
    """Put the fake in place of PyCUDA and of the driver's library; afterwards every push has been popped."""
    cuda = FakeCuda(run, memory)
    library = FakeDriver(cuda, refuse)
    monkeypatch.setattr(driver, "import_pycuda", lambda: cuda)
    monkeypatch.setattr(graph, "driver_library", lambda: library)
    device = driver.cuda_device()
    try:
        yield device, cuda, library
    finally:
        driver._DEVICES.pop((cuda, 0), None)
    assert not any(cuda.stacks.values()), "a context was left pushed"
