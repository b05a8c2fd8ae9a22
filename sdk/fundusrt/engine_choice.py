"""Which engine of the cache a backend runs: inference finds one, or says how to build it; it never builds."""

from __future__ import annotations

import hashlib

from fundusrt.bundle import Bundle
from fundusrt.engine_cache import CachedEngine, EngineCache
from fundusrt.engine_identity import BatchRange, EngineIdentity, EngineOptions, build_command
from fundusrt.errors import EngineMismatch
from fundusrt.manifest import VariantSpec
from fundusrt.nvidia_driver import Gpu
from fundusrt.tensorrt_flavour import TensorRT, operating_system

__all__ = ["find_engine"]

_DEFAULT_BATCH = 8


def find_engine(
    cache: EngineCache,
    bundle: Bundle,
    network: str,
    variant: VariantSpec,
    onnx: bytes,
    tensorrt: TensorRT,
    gpu: Gpu,
    *,
    batch: int | None = None,
) -> CachedEngine:
    """Return the engine for a network on this machine.

    Of several that fit, the one with default build options; of those, the one tuned for the largest batch. An engine
    with TF32 is never taken: the certificate of a float32 network did not measure it.

    Args:
        cache: the engines of this user.
        bundle: the bundle.
        network: name of the network in its manifest.
        variant: the variant.
        onnx: that variant as a self-contained file.
        tensorrt: the package that loads it; the lean one takes version-compatible engines alone.
        gpu: the GPU that is there.
        batch: images of one run that the engine has to take; None for any.

    Raises:
        EngineMismatch: there is none, or its files do not hold; names the command that builds it.
    """
    wanted = {
        "bundle_sha256": bundle.sha256,
        "network": network,
        "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
        "variant": variant.target,
        "precision": variant.precision,
        "flavour": tensorrt.flavour,
        "version": tensorrt.version,
        "system": operating_system(tensorrt.flavour),
    }
    command = _build_command(cache, bundle, variant, tensorrt, gpu, batch)
    found: list[EngineIdentity] = []
    nearest: list[str] | None = None
    for record in cache.records():
        identity = record.identity
        if (identity.bundle, identity.network) != (bundle.manifest.name, network):
            continue
        differences = _differences(identity, wanted, tensorrt, gpu, batch)
        if not differences:
            found.append(identity)
        elif nearest is None or len(differences) < len(nearest):
            nearest = differences
    if not found:
        raise EngineMismatch(
            f"engine of {bundle.source}, network {network!r}",
            got="none" if nearest is None else f"an engine with {'; '.join(nearest)}",
            expected=f"one for {tensorrt.name} {tensorrt.version} on {gpu.capability} {gpu.name}, {variant.precision}",
            fix=f"run `{command}`",
        )
    plain = EngineOptions()
    best = max(found, key=lambda each: (each.options == plain, each.batch.opt, each.batch.max, each.key()))
    return cache.load(best, fix=command)


def _differences(
    identity: EngineIdentity, wanted: dict[str, str], tensorrt: TensorRT, gpu: Gpu, batch: int | None
) -> list[str]:
    """Return what an engine has and must not have, a phrase each."""
    found = [
        f"{name} {getattr(identity, name)} instead of {value}"
        for name, value in wanted.items()
        if getattr(identity, name) != value
    ]
    if identity.gpu not in _scopes(gpu):
        found.append(f"gpu {identity.gpu} instead of {gpu.capability} {gpu.name}")
    if batch is not None and not identity.batch.min <= batch <= identity.batch.max:
        found.append(f"batches {identity.batch} without {batch}")
    if identity.options.tf32:
        found.append("TF32, which the certificate did not measure")
    if tensorrt.lean and not identity.options.version_compatible:
        found.append("a plan that is not version-compatible")
    if not tensorrt.lean and identity.options.exclude_lean_runtime:
        found.append("a plan for the lean runtime")
    return found


def _scopes(gpu: Gpu) -> set[str]:
    """Return how identities name GPUs whose plans run on this one."""
    scopes = {f"{gpu.capability} {gpu.name}", gpu.capability}
    return scopes | ({"sm80+"} if int(gpu.capability[2:]) >= 80 else set())


def _build_command(
    cache: EngineCache, bundle: Bundle, variant: VariantSpec, tensorrt: TensorRT, gpu: Gpu, batch: int | None
) -> str:
    size = batch or _DEFAULT_BATCH
    return build_command(
        bundle.source,
        tensorrt.flavour,
        gpu.capability if tensorrt.flavour == "tensorrt-rtx" else None,
        variant.precision,
        BatchRange(min=1, opt=size, max=size),
        EngineOptions(version_compatible=True) if tensorrt.lean else EngineOptions(),
        variant=variant.target,
        cache=None if cache.is_default else str(cache.folder),
    )
