"""From a bundle to a running pipeline."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

from fundusrt.backends import open_session, require_backend, target_of
from fundusrt.bundle import Bundle
from fundusrt.enhancement_pipeline import EnhancementPipeline
from fundusrt.errors import BackendUnavailable, InvalidInput
from fundusrt.exudate_pipeline import ExudatePipeline
from fundusrt.golden import check_preprocessing
from fundusrt.image import is_positive
from fundusrt.manifest import VariantSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.provenance import Tuning
from fundusrt.systems import system_of

# More than any machine has cores for; the runtime would try to start each of them.
MAX_THREADS = 1024
# More tiles than the largest image has, and more lanes than a GPU has memory for.
MAX_BATCH = 1024
MAX_LANES = 64

__all__ = ["AnyPipeline", "LoadOptions", "installed_versions", "load"]


AnyPipeline = SegmentationPipeline | ExudatePipeline | EnhancementPipeline


class LoadOptions(TypedDict, total=False):
    """The options of `load`."""

    backend: str
    device: str
    precision: str
    threads: int | Literal["tuned"] | None
    max_megapixels: float | None
    batch: int | None
    lanes: int | None


@overload
def load(model: Literal["leakage"], **options: Unpack[LoadOptions]) -> SegmentationPipeline: ...


@overload
def load(model: Literal["exudate"], **options: Unpack[LoadOptions]) -> ExudatePipeline: ...


@overload
def load(model: Literal["enhance"], **options: Unpack[LoadOptions]) -> EnhancementPipeline: ...


@overload
def load(model: str | Path, **options: Unpack[LoadOptions]) -> AnyPipeline: ...


def load(
    model: str | Path,
    *,
    backend: str = "onnxruntime",
    device: str = "cpu",
    precision: str = "fp32",
    threads: int | Literal["tuned"] | None = None,
    max_megapixels: float | None = None,
    batch: int | None = None,
    lanes: int | None = None,
) -> AnyPipeline:
    """Open a bundle and make it ready to run.

    Every hash and the certificate are checked, and the bundle's golden image is pre-processed and compared, before this
    returns. Exactly the backend, device and precision asked for are used, or an error is raised.

    Args:
        model: the name of a shipped bundle (`leakage`), a bundle folder or a `.frt` file.
        backend: `onnxruntime` or `openvino` on the CPU; `tensorrt`, `tensorrt-rtx` or `tensorrt-lean` (engines that
            `fundusrt build` made), `onnxruntime`, `onnxruntime-tensorrt` or `onnxruntime-tensorrt-rtx` on `cuda`.
        device: `cpu` or `cuda`.
        precision: `fp32`, or another that the bundle has.
        threads: threads of one network call, 1 to 1024; None for one per core; `tuned` for the threads and the batch
            that `fundusrt tune` found for this bundle and backend on this machine. CPU only.
        max_megapixels: larger image files are refused from their header; None for `read_image`'s default.
        batch: tiles of one network call, 1 to 1024, of a bundle with tiles; None for 1 on the CPU, and on the GPU
            for what the engine is tuned for, 8 without one.
        lanes: images on the GPU at a time, 1 to 64, each with memory of its own; None for 2. More threads take turns.

    Returns:
        The pipeline of the bundle's system: call it with an image.

    Raises:
        BundleError: the bundle is not complete, not unchanged or not certified.
        BackendUnavailable: this machine or bundle has no such backend, device or precision, or was not tuned.
        EngineMismatch: a TensorRT backend without the engine; names the command that builds it.
        InvalidInput: `threads`, `batch` or `lanes` out of range or of the other device; `max_megapixels` not above 0.
    """
    if threads != "tuned":
        _check_count("threads", threads, MAX_THREADS, "None for one per core")
    _check_count("batch", batch, MAX_BATCH, "None for the engine's own")
    _check_count("lanes", lanes, MAX_LANES, "None for 2")
    if max_megapixels is not None and not is_positive(max_megapixels):
        raise InvalidInput(
            "max_megapixels",
            got=repr(max_megapixels),
            expected="a positive number, or None",
            fix="leave it out to allow 200",
        )
    require_backend(backend, device)
    others = {"lanes": lanes} if device == "cpu" else {"threads": threads}
    for name, value in others.items():
        if value is not None:
            raise InvalidInput(name, got=f"{value} with device {device!r}", expected="None", fix="leave it out")
    bundle = Bundle.open(model)
    tuning: Tuning | None = None
    if threads == "tuned":
        if batch is not None:
            raise InvalidInput(
                "batch", got=f"{batch} with threads='tuned'", expected="None", fix="leave one of them out"
            )
        from fundusrt.tuning.choice import find_tuning

        tuning = find_tuning(str(model), bundle.sha256, backend, precision)
        threads, batch = tuning.threads, tuning.batch
    _check_batch(bundle, batch)
    check_preprocessing(bundle)
    target = target_of(backend)
    variants = {
        name: _choose(network.variants, target, precision, bundle.source)
        for name, network in bundle.manifest.networks.items()
    }
    identity: dict[str, Any] = {
        "bundle": bundle.manifest.name,
        "bundle_version": bundle.manifest.version,
        "bundle_sha256": bundle.sha256,
        "backend": backend,
        "device": device,
        "precision": precision,
        "versions": installed_versions(),
        "tuning": tuning,
    }
    system = system_of(bundle.manifest)
    if device == "cuda":
        from fundusrt.cuda.loading import open_runtime

        runtime = open_runtime(backend, bundle, variants, batch, lanes)
        identity["provider"] = next(iter(runtime.networks.values())).name
        try:
            return system.cuda_pipeline(bundle.manifest, runtime, identity, max_megapixels)
        except BaseException:
            runtime.close()
            raise
    sessions = {
        name: open_session(
            backend,
            device,
            bundle.network_bytes(variant),
            source=f"{bundle.source}, network {name!r}",
            threads=threads,
        )
        for name, variant in variants.items()
    }
    identity["provider"] = next(iter(sessions.values())).name
    return system.pipeline(bundle.manifest, sessions, identity, max_megapixels, batch or 1)


def _check_count(name: str, value: int | None, most: int, otherwise: str) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(name, got=repr(value), expected=f"a whole number from 1, or {otherwise}", fix="leave it out")
    if value is not None and value > most:
        raise InvalidInput(name, got=value, expected=f"at most {most}", fix="leave it out")


def _check_batch(bundle: Bundle, batch: int | None) -> None:
    if batch is None:
        return
    tiles = [spec for spec in bundle.manifest.networks.values() if spec.role == "tile"]
    if not tiles:
        raise InvalidInput(
            "batch", got=f"{batch} for {bundle.source}, which cuts no tiles", expected="None", fix="leave it out"
        )
    for spec in tiles:
        length = spec.input.shape[0]
        if isinstance(length, int) and length != batch:
            raise InvalidInput(
                "batch", got=batch, expected=f"{length}, as the tile network has it", fix="export it with a free batch"
            )


def _choose(variants: tuple[VariantSpec, ...], target: str, precision: str, source: str) -> VariantSpec:
    for variant in variants:
        if variant.target == target and variant.precision == precision:
            return variant
    have = ", ".join(sorted({f"{variant.target}/{variant.precision}" for variant in variants}))
    raise BackendUnavailable(
        source,
        got=f"{target}/{precision}",
        expected=f"one of {have}",
        fix="choose one of these, or export another variant",
    )


def installed_versions() -> dict[str, str]:
    """Return the versions that can change a result."""
    versions = {"python": platform.python_version()}
    packages = ("numpy", "opencv-python-headless", "opencv-python", "onnxruntime", "onnxruntime-gpu", "openvino")
    gpu = ("pycuda", "tensorrt", "tensorrt-lean", "tensorrt-rtx-cu13")
    for name in ("fundusrt", *packages, *gpu):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
