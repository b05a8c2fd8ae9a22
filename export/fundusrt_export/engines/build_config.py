"""The configuration of a build; what a package does not offer is refused by name, never left out."""

from __future__ import annotations

from typing import Any

from fundusrt.engine_identity import BatchRange, EngineOptions
from fundusrt.errors import UsageError
from fundusrt.tensorrt_flavour import TensorRT
from fundusrt_export.errors import EngineBuildError

__all__ = ["apply_options", "apply_profile", "apply_target", "check_options"]

_COMPATIBILITY = {"ampere-plus": "AMPERE_PLUS", "same-compute-capability": "SAME_COMPUTE_CAPABILITY"}


def check_options(tensorrt: TensorRT, options: EngineOptions) -> None:
    """Refuse options that the package does not have, before anything is built.

    Raises:
        UsageError: names the option, the package and what to do instead.
    """
    if options.exclude_lean_runtime and not options.version_compatible:
        raise UsageError(
            "--exclude-lean-runtime",
            got="no --version-compatible",
            expected="a version-compatible plan, whose runtime is left out",
            fix="add --version-compatible, or leave it out",
        )
    if tensorrt.targets_capabilities:
        if options.version_compatible:
            raise _refused(tensorrt, "--version-compatible", "build again for each release")
        if options.hardware_compatibility != "none":
            raise _refused(tensorrt, "--hardware-compatibility", "name the GPUs with --gpu")
    wanted = _COMPATIBILITY.get(options.hardware_compatibility)
    if wanted is not None and not hasattr(tensorrt.module.HardwareCompatibilityLevel, wanted):
        raise _refused(tensorrt, f"--hardware-compatibility {options.hardware_compatibility}", "use a newer release")


def apply_options(tensorrt: TensorRT, config: Any, options: EngineOptions) -> None:
    """Set the flags of a build. Everything the inspector can show is kept in the plan."""
    trt = tensorrt.module
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if not options.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.exclude_lean_runtime:
        config.set_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME)
    if options.hardware_compatibility != "none":
        level = _COMPATIBILITY[options.hardware_compatibility]
        config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, level)


def apply_target(tensorrt: TensorRT, config: Any, capability: str | None, subject: str) -> None:
    """Compile for one compute capability; None builds for the GPU that is there, where the package does that.

    Raises:
        EngineBuildError: the package does not take the capability.
    """
    if capability is None:
        return
    trt = tensorrt.module
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(getattr(trt.ComputeCapability, capability.upper()), 0):
        raise EngineBuildError(
            subject,
            got=f"{trt.__name__} {tensorrt.version} refuses {capability}",
            expected="a compute capability it compiles for",
            fix=f"choose from {', '.join(tensorrt.capabilities())}",
        )


def apply_profile(builder: Any, config: Any, network: Any, batch: BatchRange, subject: str) -> None:
    """Fix every dimension but the batch, and the batch to its range. Equal sizes give a plan for just that size.

    Raises:
        EngineBuildError: a free dimension beside the batch, or a batch that the file fixes to another size.
    """
    profile = builder.create_optimization_profile()
    dynamic = False
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(int(length) for length in tensor.shape)
        if -1 in shape[1:] or (shape[0] != -1 and {batch.min, batch.opt, batch.max} != {shape[0]}):
            raise EngineBuildError(
                f"{subject}, input {tensor.name}",
                got=f"shape {shape} for batches {batch}",
                expected="a free batch and nothing else free, or batches of the size the file has",
                fix="export the network with a free batch, or name its batch",
            )
        if shape[0] == -1:
            dynamic = True
            profile.set_shape(tensor.name, *((size, *shape[1:]) for size in (batch.min, batch.opt, batch.max)))
    if dynamic and config.add_optimization_profile(profile) < 0:
        raise EngineBuildError(
            subject, got=f"batches {batch} refused", expected="min <= opt <= max", fix="name other batches"
        )


def _refused(tensorrt: TensorRT, option: str, fix: str) -> UsageError:
    return UsageError(
        option,
        got=f"{tensorrt.flavour} {tensorrt.version}, which does not have it",
        expected="an option of that package",
        fix=fix,
    )
