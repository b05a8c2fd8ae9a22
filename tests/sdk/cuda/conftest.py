"""The kernels compiled for the host, once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.host_kernels import compile_for_host
from tests.sdk.cuda.fake_device import host_runner


@pytest.fixture(scope="session")
def host_kernels(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What executes a kernel on the CPU."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: kernels are not run on the CPU")
    folder: Path = tmp_path_factory.mktemp("kernels")
    return host_runner(compile_for_host(folder))
