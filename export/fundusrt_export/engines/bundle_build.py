"""Every network of a bundle to engines, through the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fundusrt.bundle import Bundle
from fundusrt.engine_cache import CachedEngine, EngineCache
from fundusrt.engine_identity import BatchRange, EngineIdentity, EngineOptions, engine_identity
from fundusrt.errors import BackendUnavailable
from fundusrt.manifest import NetworkSpec, VariantSpec
from fundusrt.sealed_file import SealedFile
from fundusrt.tensorrt_flavour import TensorRT
from fundusrt_export.engines.build_config import check_options
from fundusrt_export.engines.build_progress import BuildProgress
from fundusrt_export.engines.builder import build_engine
from fundusrt_export.engines.gpu_targets import GpuTarget

__all__ = ["BuildRequest", "NetworkEngine", "build_bundle", "choose_variant"]

_ONE = BatchRange(min=1, opt=1, max=1)


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    Attributes:
        precision: precision of the variant.
        variant: target of the variant, `tensorrt` unless another is asked for by name.
        batch: batch sizes; a network that sees the whole image is always built for one.
        options: build options.
        force: build also what the cache has.
    """

    precision: str = "fp32"
    variant: str = "tensorrt"
    batch: BatchRange = _ONE
    options: EngineOptions = field(default_factory=EngineOptions)
    force: bool = False


@dataclass(frozen=True)
class NetworkEngine:
    """One engine of a bundle: for which network and GPU, of which variant, and the cache's answer."""

    network: str
    target: GpuTarget
    variant: VariantSpec
    engine: CachedEngine


def build_bundle(
    bundle: Bundle,
    tensorrt: TensorRT,
    targets: Sequence[GpuTarget],
    cache: EngineCache,
    request: BuildRequest,
    *,
    progress: Callable[[str], BuildProgress] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[NetworkEngine]:
    """Build every network for every target; what the cache has is not built again.

    Args:
        bundle: the bundle.
        tensorrt: the package that compiles.
        targets: the GPUs.
        cache: where engines are kept.
        request: what to build.
        progress: called with the name of each engine that is really built, returns what hears of its phases.
        cancelled: asked at each step whether to stop.

    Raises:
        BackendUnavailable: the bundle has no such variant.
        EngineBuildError, BuildCancelled, UsageError, OutputError: see `build_engine`.
    """
    check_options(tensorrt, request.options)
    chosen = {
        name: choose_variant(spec, request, f"{bundle.source}, network {name!r}")
        for name, spec in bundle.manifest.networks.items()
    }
    built: list[NetworkEngine] = []
    for target in targets:
        for name, spec in bundle.manifest.networks.items():
            onnx = bundle.network_bytes(chosen[name])
            batch = _ONE if spec.role == "whole_image" else request.batch
            identity = engine_identity(bundle, name, chosen[name], onnx, tensorrt, target.gpu, batch, request.options)

            def build(
                name: str = name,
                spec: NetworkSpec = spec,
                target: GpuTarget = target,
                onnx: bytes = onnx,
                batch: BatchRange = batch,
                identity: EngineIdentity = identity,
            ) -> tuple[bytes, dict[str, object]]:
                subject = f"{bundle.manifest.name} {name} for {target}"
                result = build_engine(
                    tensorrt,
                    onnx,
                    spec,
                    batch,
                    subject=subject,
                    options=request.options,
                    capability=target.capability,
                    timing_cache=_timing_file(tensorrt, cache, identity),
                    progress=progress(subject) if progress is not None else None,
                    cancelled=cancelled,
                )
                return result.plan, result.report.to_dict()

            engine = cache.get_or_build(identity, build, force=request.force)
            built.append(NetworkEngine(name, target, chosen[name], engine))
    return built


def choose_variant(spec: NetworkSpec, request: BuildRequest, subject: str) -> VariantSpec:
    """Return the variant that is asked for; another is never taken in its place.

    Raises:
        BackendUnavailable: there is none; names those there are.
    """
    for variant in spec.variants:
        if (variant.target, variant.precision) == (request.variant, request.precision):
            return variant
    others = sorted({each.target for each in spec.variants if each.precision == request.precision})
    fix = "export the bundle again with that precision"
    if request.variant == "tensorrt" and others:
        fix = f"export the bundle again, or build that form on purpose with --variant {others[0]}"
    raise BackendUnavailable(
        subject,
        got=f"no variant {request.variant}/{request.precision}",
        expected=f"one of {', '.join(sorted(f'{each.target}/{each.precision}' for each in spec.variants))}",
        fix=fix,
    )


def _timing_file(tensorrt: TensorRT, cache: EngineCache, identity: EngineIdentity) -> SealedFile | None:
    """One file a version and GPU; TensorRT-RTX, which times nothing, has none."""
    if tensorrt.targets_capabilities:
        return None
    name = "".join(letter if letter.isalnum() else "-" for letter in f"{identity.version} {identity.gpu}")
    return cache.sealed_file(f"timing-{name}.cache")
