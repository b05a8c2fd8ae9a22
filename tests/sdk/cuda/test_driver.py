"""The primary context: who may not have it, and that each thread's pushes are its own."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import fundusrt
from fundusrt.cuda import driver
from fundusrt.cuda.driver import cuda_device, import_pycuda
from fundusrt.errors import BackendUnavailable
from fundusrt.nvidia_driver import Driver, Gpu
from tests.sdk.cuda.fake_cuda import CudaError, FakeCuda
from tests.sdk.cuda.fake_device import fake_device


def test_no_driver(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "probe_driver", lambda: Driver("not found"))
    with pytest.raises(BackendUnavailable, match="device 'cuda': got NVIDIA driver: not found") as caught:
        fundusrt.load(tiny, device="cuda")
    assert "pass device='cpu'" in str(caught.value.fix)


def test_no_pycuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "probe_driver", lambda: Driver(None, (Gpu("NVIDIA L4", "sm89"),)))
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(BackendUnavailable, match="expected PyCUDA") as caught:
        import_pycuda()
    assert 'pip install "fundusrt[cuda]"' in str(caught.value.fix)


def test_a_gpu_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda()
    monkeypatch.setattr(driver, "import_pycuda", lambda: cuda)
    with pytest.raises(BackendUnavailable, match="GPU 3: got invalid device ordinal"):
        cuda_device(3)


def test_every_thread_pushes_the_same_context(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_device(monkeypatch) as (device, cuda, _):
        seen: list[Any] = []

        def work() -> None:
            with device.current():
                seen.append(cuda.stack()[-1])
                with device.current():
                    seen.append(len(cuda.stack()))
            seen.append(len(cuda.stack()))

        for _ in range(3):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert seen[0] is seen[3] is seen[6]
        assert seen[1::3] == [2, 2, 2]
        assert seen[2::3] == [0, 0, 0]
        assert len(cuda.contexts) == 1
        assert cuda_device() is device


def test_a_failure_pops_too_and_becomes_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_device(monkeypatch, memory=1000) as (device, cuda, _):
        with pytest.raises(BackendUnavailable, match="out of memory") as caught, device.current():
            cuda.mem_alloc(2000)
        assert isinstance(caught.value.__cause__, CudaError)
        with pytest.raises(ZeroDivisionError), device.current():
            raise ZeroDivisionError
        assert cuda.stack() == []


def test_memory_belongs_to_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_device(monkeypatch) as (_, cuda, _library), pytest.raises(CudaError, match="invalid device context"):
        cuda.mem_alloc(10)
