"""The driver is asked before anything of TensorRT's runs, and a missing one crashes nothing."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from fundusrt import nvidia_driver
from fundusrt.nvidia_driver import Driver, Gpu, probe_driver


class FakeLibrary:
    """libcuda with two GPUs."""

    def __init__(self, init: int = 0, count: int = 2) -> None:
        self.init, self.count, self.calls = init, count, []

    def cuInit(self, flags: int) -> int:
        self.calls.append("cuInit")
        return self.init

    def cuDeviceGetCount(self, count: Any) -> int:
        assert self.calls == ["cuInit"]
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:
        device._obj.value = index
        return 0

    def cuDeviceGetName(self, name: Any, length: int, device: ctypes.c_int) -> int:
        name.value = [b"NVIDIA L4", b"NVIDIA H200"][device.value]
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: ctypes.c_int) -> int:
        value._obj.value = {75: (8, 9), 76: (9, 0)}[attribute][device.value]
        return 0


def probed(monkeypatch: pytest.MonkeyPatch, library: Any) -> Driver:
    def load(name: str) -> Any:
        if library is None:
            raise OSError(f"{name}: cannot open shared object file")
        return library

    monkeypatch.setattr(nvidia_driver.ctypes, "CDLL", load)
    return probe_driver()


def test_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = probed(monkeypatch, FakeLibrary())
    assert driver == Driver(None, (Gpu("NVIDIA L4", "sm89"), Gpu("NVIDIA H200", "sm90")))


@pytest.mark.parametrize(
    ("library", "problem"),
    [
        (None, "not found"),
        (object(), "not found"),
        (FakeLibrary(init=100), "cuInit returned 100"),
        (FakeLibrary(count=0), "present, but it offers no GPU"),
    ],
)
def test_no_gpu(monkeypatch: pytest.MonkeyPatch, library: Any, problem: str) -> None:
    assert probed(monkeypatch, library) == Driver(problem)
