"""The kernels, built for the CPU once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.kernels.host_kernels import HostKernels, HostMemory, compile_for_host


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> HostKernels:
    """Every kernel as a host function."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: kernels cannot be run on the CPU")
    return HostKernels(compile_for_host(tmp_path_factory.mktemp("kernels")))


@pytest.fixture(params=["forwards", "backwards"])
def either_way(kernels: HostKernels, request: pytest.FixtureRequest) -> Iterator[HostKernels]:
    """The same, with blocks and threads in one order and in the other."""
    kernels.set_backwards(request.param == "backwards")
    yield kernels
    kernels.set_backwards(False)


@pytest.fixture
def memory() -> HostMemory:
    return HostMemory()
