"""What runs only where an NVIDIA GPU, its driver and PyCUDA are; elsewhere each test is skipped with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fundusrt.cuda.driver import CudaDevice, cuda_device
from fundusrt.cuda.kernels import KernelModule
from fundusrt.cuda.lane import Lane
from fundusrt.errors import BackendUnavailable
from tests.sdk.cuda import stage_cases

stage_cases.EXACT = False


@pytest.fixture(scope="session")
def device() -> CudaDevice:
    try:
        return cuda_device()
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def lane(device: CudaDevice) -> Iterator[Lane]:
    """A lane, inside the device's context."""
    with device.current():
        kernels = KernelModule(device)
        made = Lane(device, kernels)
        yield made
        made.close()
        kernels.close()
