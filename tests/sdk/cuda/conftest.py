"""The kernels compiled for the host, once, and a tiny bundle that has graphs for TensorRT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fundusrt.testing import tiny_bundle
from fundusrt.testing.seal import seal_bundle
from tests.kernels.host_kernels import compile_for_host
from tests.sdk.cuda.fake_device import host_runner


@pytest.fixture(scope="session")
def host_kernels(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What executes a kernel on the CPU."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: kernels are not run on the CPU")
    folder: Path = tmp_path_factory.mktemp("kernels")
    return host_runner(compile_for_host(folder))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with a `tensorrt` variant of each network."""
    folder = tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", tile_px=64, whole_px=64)
    content = json.loads((folder / "bundle.json").read_text())
    for network in content["networks"].values():
        network["variants"].append({**network["variants"][0], "target": "tensorrt"})
    seal_bundle(folder, content)
    return folder
