"""The shipped fat binary on a GPU: loaded as it is in the package, without a compiler, or refused with a remedy."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from fundusrt.cuda.kernels import KernelModule
from fundusrt.errors import BackendUnavailable
from fundusrt.kernels.module import fat_binary
from tests.sdk.cuda.fake_cuda import CudaError
from tests.sdk.cuda.fake_device import fake_device


def test_it_comes_from_the_package_and_no_program_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", never)
    monkeypatch.setenv("PATH", "")
    given: list[bytes] = []
    with fake_device(monkeypatch) as (device, cuda, _):
        loads = cuda.module_from_buffer
        cuda.module_from_buffer = lambda content: given.append(content) or loads(content)  # type: ignore[func-returns-value]
        with device.current():
            KernelModule(device).close()
    assert given == [fat_binary()]


def test_a_gpu_without_code_in_it_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(content: bytes) -> Any:
        raise CudaError("cuModuleLoadDataEx failed: no kernel image is available for execution on the device")

    with fake_device(monkeypatch) as (device, cuda, _):
        cuda.module_from_buffer = refuses
        with device.current(), pytest.raises(BackendUnavailable, match="no kernel image is available") as caught:
            KernelModule(device)
    assert "compute capability 7.5 or later" in str(caught.value.expected)
    assert "update the driver" in str(caught.value.fix)
