"""The kernels, built for the CPU once."""

from __future__ import annotations

import shutil

import pytest

from tests.kernels.host_kernels import HostKernels, HostMemory, compile_for_host


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> HostKernels:
    """Every kernel as a host function."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: kernels cannot be run on the CPU")
    return HostKernels(compile_for_host(tmp_path_factory.mktemp("kernels")))


@pytest.fixture
def memory() -> HostMemory:
    return HostMemory()
