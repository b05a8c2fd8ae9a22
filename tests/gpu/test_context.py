"""One context with PyTorch: the primary one, pushed and popped by each thread, its stream lent."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np
import pytest

from fundusrt.cuda.driver import CudaDevice, cuda_device
from fundusrt.cuda.kernels import KernelModule
from fundusrt.cuda.lane import Lane
from fundusrt.nvidia_driver import driver_library

pytestmark = pytest.mark.gpu


def current() -> int | None:
    context = ctypes.c_void_p()
    assert driver_library().cuCtxGetCurrent(ctypes.byref(context)) == 0
    return context.value


@pytest.fixture
def torch() -> Any:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    return torch


def test_every_push_is_popped(device: CudaDevice) -> None:
    found: list[Any] = []

    def look() -> None:
        before = current()
        with device.current():
            inside = current()
            with device.current():
                deeper = current()
        found.append((before, inside, deeper, current()))

    for _ in range(2):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert cuda_device() is device
    for before, inside, deeper, after in found:
        assert before is None
        assert after is None
        assert isinstance(inside, int)
        assert inside == deeper == found[0][1] != 0


def test_it_is_the_context_of_pytorch(device: CudaDevice, torch: Any) -> None:
    torch.zeros(1, device="cuda")
    torchs = current()
    assert isinstance(torchs, int)
    assert torchs != 0
    with device.current():
        assert current() == torchs
    assert current() == torchs


def test_pytorch_works_in_memory_and_on_the_stream_of_a_lane(lane: Lane, torch: Any) -> None:
    values = np.random.default_rng(0).random((3, 257), np.float32)
    sent = lane.upload("values", values)[0]
    seen = torch.as_tensor(sent, device="cuda")
    assert seen.data_ptr() == sent.address
    with torch.cuda.stream(torch.cuda.ExternalStream(lane.handle)):
        seen.mul_(2.0)
    assert np.array_equal(lane.download(sent), values * 2.0)


def test_threads_have_lanes_of_their_own(device: CudaDevice) -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        with device.current():
            kernels = KernelModule(device)
            lane = Lane(device, kernels)
            for turn in range(50):
                values = np.full(10_000, number * 1000 + turn, np.int64)
                sent = lane.upload("values", values)[0]
                twin = lane.array("twin", sent.shape, sent.dtype)
                lane.copy(sent, twin)
                if not np.array_equal(lane.download(twin), values):
                    wrong.append(number)
            lane.close()
            kernels.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_lane_gives_its_memory_back(device: CudaDevice) -> None:
    much, slack = 16 * 2**30, 8 * 2**30  # other programs may come and go meanwhile
    with device.current():
        if device.free_memory()[0] < much + slack:
            pytest.skip(f"{(much + slack) / 2**30:.0f} GiB of free device memory are needed")
        kernels = KernelModule(device)
        before = device.free_memory()[0]
        lane = Lane(device, kernels)
        lane.array("much", (much,), np.uint8)
        taken = device.free_memory()[0]
        assert before - taken > slack
        lane.close()
        assert device.free_memory()[0] - taken > slack
        kernels.close()
