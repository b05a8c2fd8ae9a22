"""What an engine is built from and for. The hash of it is the engine's address in the cache."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fundusrt.bundle import Bundle
from fundusrt.errors import UsageError
from fundusrt.manifest.parts import Frozen, Precision, Sha256, VariantSpec
from fundusrt.nvidia_driver import Gpu
from fundusrt.tensorrt_flavour import Flavour, TensorRT, operating_system

__all__ = [
    "BatchRange",
    "EngineIdentity",
    "EngineOptions",
    "HardwareCompatibility",
    "build_command",
    "canonical_json",
    "engine_identity",
]

Batch = Annotated[int, Field(ge=1, le=65536)]
HardwareCompatibility = Literal["none", "ampere-plus", "same-compute-capability"]


class BatchRange(Frozen, frozen=True):
    """Batch sizes of an engine: the smallest and largest it takes and the one it is tuned for."""

    min: Batch
    opt: Batch
    max: Batch

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min <= self.opt <= self.max:
            raise ValueError(f"batch sizes {self} are not min <= opt <= max")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `1,4,8` (min, opt, max) or `4`, which is all three.

        Raises:
            UsageError: anything else.
        """
        try:
            sizes = [int(part) for part in text.split(",")]
            low, opt, high = sizes if len(sizes) == 3 else sizes * 3
            return cls(min=low, opt=opt, max=high)
        except ValueError as error:  # pydantic's is one
            raise UsageError(
                "--batch", got=repr(text), expected="one size, or min,opt,max in that order", fix="try 1,4,4"
            ) from error

    def __str__(self) -> str:
        """As `--batch` takes it."""
        return f"{self.min},{self.opt},{self.max}"


class EngineOptions(Frozen, frozen=True):
    """Build options that change a plan.

    Attributes:
        tf32: let matrix products of float32 networks round their inputs to 10 bits of mantissa, as TensorRT does unless
            told otherwise. Off: an fp32 network is computed in fp32, as it was certified.
        optimization_level: 0 (quick build) to 5; None for the package's own default.
        version_compatible: build the kind of plan that TensorRT describes as running on later versions too. It carries
            host code, and a runtime must be told to allow that. The cache makes no use of it: it returns such a plan
            for the version that built it alone, like any other.
        exclude_lean_runtime: leave that host code out; the runtime library is then loaded from elsewhere.
        hardware_compatibility: whether the plan also runs on other models of GPU.
    """

    tf32: bool = False
    optimization_level: Annotated[int, Field(ge=0, le=5)] | None = None
    version_compatible: bool = False
    exclude_lean_runtime: bool = False
    hardware_compatibility: HardwareCompatibility = "none"


class EngineIdentity(Frozen, frozen=True):
    """Everything that decides whether a plan may be loaded; its hash is the plan's address.

    Attributes:
        bundle: name of the bundle, for messages.
        bundle_sha256: identity of the bundle.
        network: name of the network in the manifest.
        onnx_sha256: hash of the ONNX file the plan was built from.
        variant: target of the variant that file is.
        precision: precision of that variant.
        flavour: `tensorrt` or `tensorrt-rtx`.
        version: version of that package; a plan is returned for exactly this one, whatever its options.
        gpu: `sm89`, `sm80+`, or for a plan that is tuned for one model of GPU `sm89 NVIDIA L4`.
        system: operating system and processor, or `any`.
        batch: batch sizes.
        options: build options that change the plan.
    """

    bundle: str
    bundle_sha256: Sha256
    network: str
    onnx_sha256: Sha256
    variant: str
    precision: Precision
    flavour: Flavour
    version: str
    gpu: str
    system: str
    batch: BatchRange
    options: EngineOptions

    def key(self) -> str:
        """Return the address of the engine: 32 hexadecimal digits."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json"))).hexdigest()[:32]

    def differences(self, other: EngineIdentity) -> list[str]:
        """Return what this has and `other` lacks, a phrase a field."""
        mine, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return [f"{name} {mine[name]} instead of {theirs[name]}" for name in mine if mine[name] != theirs[name]]


def engine_identity(
    bundle: Bundle,
    network: str,
    variant: VariantSpec,
    onnx: bytes,
    tensorrt: TensorRT,
    gpu: Gpu | str,
    batch: BatchRange,
    options: EngineOptions,
) -> EngineIdentity:
    """Return the identity of the engine of one network.

    Args:
        bundle: the bundle.
        network: name of the network in its manifest.
        variant: the variant of it that is built.
        onnx: that variant as a self-contained ONNX file.
        tensorrt: the package.
        gpu: the GPU that is there, or a compute capability (`sm89`).
        batch: batch sizes.
        options: build options.
    """
    return EngineIdentity(
        bundle=bundle.manifest.name,
        bundle_sha256=bundle.sha256,
        network=network,
        onnx_sha256=hashlib.sha256(onnx).hexdigest(),
        variant=variant.target,
        precision=variant.precision,
        flavour=tensorrt.flavour,
        version=tensorrt.version,
        gpu=_gpu_scope(gpu, options.hardware_compatibility),
        system=operating_system(tensorrt.flavour),
        batch=batch,
        options=options,
    )


def _gpu_scope(gpu: Gpu | str, compatibility: HardwareCompatibility) -> str:
    """Return which GPUs a plan is for."""
    if isinstance(gpu, str):
        return gpu
    if compatibility == "ampere-plus":
        return "sm80+"
    return gpu.capability if compatibility == "same-compute-capability" else f"{gpu.capability} {gpu.name}"


def build_command(
    source: str,
    flavour: Flavour,
    gpu: str | None,
    precision: str,
    batch: BatchRange,
    options: EngineOptions,
    *,
    variant: str = "tensorrt",
    cache: str | None = None,
) -> str:
    """Return the command that builds a bundle's engines.

    Args:
        source: the bundle as its user names it.
        flavour: for which package.
        gpu: compute capability; None for the GPU of the machine the command runs on.
        precision: precision of the variant.
        batch: batch sizes of the tile network.
        options: build options; those at their defaults are not spelled out.
        variant: target of the variant; only another than `tensorrt` is spelled out.
        cache: folder of the engines; None for the user's own.
    """
    words = ["fundusrt", "build", source, "--for", flavour]
    words += ["--gpu", gpu] if gpu else []
    words += ["--precision", precision, "--batch", str(batch)]
    words += ["--variant", variant] if variant != "tensorrt" else []
    words += ["--cache", cache] if cache else []
    for name, value in options.model_dump(exclude_defaults=True).items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return " ".join(f'"{word}"' if " " in word else word for word in words)


def canonical_json(content: object) -> bytes:
    """Return the one spelling of JSON content that is hashed."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
