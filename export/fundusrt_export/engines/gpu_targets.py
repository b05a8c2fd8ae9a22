"""Which GPUs plans are built for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fundusrt.errors import BackendUnavailable, UsageError
from fundusrt.nvidia_driver import Driver, Gpu
from fundusrt.tensorrt_flavour import TensorRT

__all__ = ["GpuTarget", "gpu_targets"]

_CAPABILITY = re.compile(r"sm\d{2,3}")


@dataclass(frozen=True)
class GpuTarget:
    """What one plan is for.

    Attributes:
        gpu: the GPU that is there, or a compute capability.
        capability: what the builder is told to compile for; None for the GPU that is there.
    """

    gpu: Gpu | str
    capability: str | None

    def __str__(self) -> str:
        """For messages."""
        return self.gpu if isinstance(self.gpu, str) else f"{self.gpu.name} ({self.gpu.capability})"


def gpu_targets(tensorrt: TensorRT, driver: Driver, named: str | None) -> list[GpuTarget]:
    """Return the targets, each of which gets plans of its own: one plan for several GPUs is larger than all of theirs.

    Args:
        tensorrt: TensorRT-RTX compiles for any GPU it knows; the classic one for the GPU that is there.
        driver: what the driver answered; the first GPU it offers is the one that is there.
        named: `sm75,sm89`, or None for the GPU that is there.

    Raises:
        UsageError: `named` with a package that cannot, or a compute capability it does not know.
        BackendUnavailable: no GPU where one is needed, or one the package does not run on.
    """
    if not tensorrt.targets_capabilities:
        if named is not None:
            raise UsageError(
                "--gpu",
                got=f"{named} with {tensorrt.flavour}, which builds on and for the GPU that is there",
                expected="no --gpu",
                fix="leave it out, or build --for tensorrt-rtx",
            )
        return [GpuTarget(_first(tensorrt, driver, "build on the machine that will run it"), None)]
    if named is None:
        gpu = _first(tensorrt, driver, f"name the GPUs, such as --gpu {','.join(tensorrt.capabilities())}")
        if gpu.capability not in tensorrt.capabilities():
            raise BackendUnavailable(
                f"GPU {gpu.name}",
                got=gpu.capability,
                expected=f"one that {tensorrt.flavour} runs on: {', '.join(tensorrt.capabilities())}",
                fix="build --for tensorrt here, or name the GPUs of another machine with --gpu",
            )
        return [GpuTarget(gpu.capability, gpu.capability)]
    return [GpuTarget(name, name) for name in _named(tensorrt, named)]


def _named(tensorrt: TensorRT, named: str) -> list[str]:
    names = list(dict.fromkeys(part.strip().lower() for part in named.split(",")))
    for name in names:
        if not _CAPABILITY.fullmatch(name) or name not in tensorrt.capabilities():
            raise UsageError(
                "--gpu",
                got=repr(name),
                expected=f"compute capabilities of {tensorrt.flavour} {tensorrt.version}: "
                f"{', '.join(tensorrt.capabilities())}",
                fix="choose from these, separated by commas",
            )
    return names


def _first(tensorrt: TensorRT, driver: Driver, fix: str) -> Gpu:
    if driver.problem is not None or not driver.gpus:
        raise BackendUnavailable(
            f"building for {tensorrt.flavour}",
            got=f"no GPU (NVIDIA driver: {driver.problem})",
            expected="an NVIDIA GPU and its driver",
            fix=fix,
        )
    return driver.gpus[0]
