"""Which GPUs plans are built for, and the refusals."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from fundusrt.errors import BackendUnavailable, UsageError
from fundusrt.nvidia_driver import Driver, Gpu
from fundusrt.tensorrt_flavour import TensorRT
from fundusrt_export.engines.gpu_targets import GpuTarget, gpu_targets

NO_GPU = Driver("not found")
L4 = Driver(None, (Gpu("NVIDIA L4", "sm89"), Gpu("NVIDIA T4", "sm75")))
H200 = Driver(None, (Gpu("NVIDIA H200", "sm90"),))
CAPABILITIES = Enum("ComputeCapability", ["NONE", "CURRENT", "SM120", "SM75", "SM89"])


def package(rtx: bool) -> TensorRT:
    config: Any = SimpleNamespace(set_compute_capability=None) if rtx else SimpleNamespace()
    module = SimpleNamespace(IBuilderConfig=config, **({"ComputeCapability": CAPABILITIES} if rtx else {}))
    return TensorRT("tensorrt-rtx" if rtx else "tensorrt", "1.7" if rtx else "11.1", module)


def test_rtx_builds_for_what_is_named_without_a_gpu() -> None:
    targets = gpu_targets(package(rtx=True), NO_GPU, "sm75, SM120,sm75")
    assert targets == [GpuTarget("sm75", "sm75"), GpuTarget("sm120", "sm120")]


def test_rtx_builds_for_the_gpu_that_is_there() -> None:
    assert gpu_targets(package(rtx=True), L4, None) == [GpuTarget("sm89", "sm89")]


@pytest.mark.parametrize("name", ["sm90", "none", "current", "86", "", "sm75;sm89"])
def test_rtx_refuses_what_it_does_not_know(name: str) -> None:
    with pytest.raises(UsageError, match=r"compute capabilities of tensorrt-rtx 1\.7: sm75, sm89, sm120"):
        gpu_targets(package(rtx=True), NO_GPU, name)


def test_rtx_needs_a_gpu_or_a_name() -> None:
    with pytest.raises(BackendUnavailable, match=r"driver: not found.*--gpu sm75,sm89,sm120"):
        gpu_targets(package(rtx=True), NO_GPU, None)


def test_rtx_does_not_run_on_every_gpu() -> None:
    with pytest.raises(BackendUnavailable, match=r"GPU NVIDIA H200: got sm90.*--for tensorrt here"):
        gpu_targets(package(rtx=True), H200, None)


def test_classic_builds_for_the_first_gpu() -> None:
    (target,) = gpu_targets(package(rtx=False), H200, None)
    assert target == GpuTarget(H200.gpus[0], None)
    assert str(target) == "NVIDIA H200 (sm90)"


def test_classic_cannot_build_for_another_gpu() -> None:
    with pytest.raises(UsageError, match="builds on and for the GPU that is there"):
        gpu_targets(package(rtx=False), H200, "sm89")


def test_classic_needs_a_gpu() -> None:
    with pytest.raises(BackendUnavailable, match=r"no GPU.*build on the machine that will run it"):
        gpu_targets(package(rtx=False), NO_GPU, None)
