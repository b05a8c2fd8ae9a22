"""From a bundle to a running pipeline."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

from fundusrt.backends import open_session, require_backend
from fundusrt.bundle import Bundle
from fundusrt.enhancement_pipeline import EnhancementPipeline
from fundusrt.errors import BackendUnavailable, InvalidInput
from fundusrt.exudate_pipeline import ExudatePipeline
from fundusrt.golden import check_preprocessing
from fundusrt.image import is_positive
from fundusrt.manifest import VariantSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.systems import system_of

# More than any machine has cores for; the runtime would try to start each of them.
MAX_THREADS = 1024

__all__ = ["load"]


AnyPipeline = SegmentationPipeline | ExudatePipeline | EnhancementPipeline


class LoadOptions(TypedDict, total=False):
    """The options of `load`."""

    backend: str
    device: str
    precision: str
    threads: int | None
    max_megapixels: float | None


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
    threads: int | None = None,
    max_megapixels: float | None = None,
) -> AnyPipeline:
    """Open a bundle and make it ready to run.

    Every hash and the certificate are checked, and the bundle's golden image is pre-processed and compared, before this
    returns. Exactly the backend, device and precision asked for are used, or an error is raised.

    Args:
        model: the name of a shipped bundle (`leakage`), a bundle folder or a `.frt` file.
        backend: `onnxruntime` or `openvino`.
        device: `cpu`.
        precision: `fp32`.
        threads: threads of one network call, 1 to 1024; None for one per core.
        max_megapixels: larger image files are refused from their header; None for `read_image`'s default.

    Returns:
        The pipeline of the bundle's system: call it with an image.

    Raises:
        BundleError: the bundle is not complete, not unchanged or not certified.
        BackendUnavailable: this machine or bundle has no such backend, device or precision.
        InvalidInput: `threads` outside 1 to 1024, or `max_megapixels` not above 0.
    """
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(
            "threads", got=repr(threads), expected="a whole number from 1, or None for one per core", fix="leave it out"
        )
    if threads is not None and threads > MAX_THREADS:
        raise InvalidInput("threads", got=threads, expected=f"at most {MAX_THREADS}", fix="one per core is fastest")
    if max_megapixels is not None and not is_positive(max_megapixels):
        raise InvalidInput(
            "max_megapixels",
            got=repr(max_megapixels),
            expected="a positive number, or None",
            fix="leave it out to allow 200",
        )
    require_backend(backend, device)
    bundle = Bundle.open(model)
    check_preprocessing(bundle)
    sessions = {
        name: open_session(
            backend,
            device,
            bundle.network_bytes(_choose(network.variants, backend, precision, bundle.source)),
            source=f"{bundle.source}, network {name!r}",
            threads=threads,
        )
        for name, network in bundle.manifest.networks.items()
    }
    identity: dict[str, Any] = {
        "bundle": bundle.manifest.name,
        "bundle_version": bundle.manifest.version,
        "bundle_sha256": bundle.sha256,
        "backend": backend,
        "provider": next(iter(sessions.values())).name,
        "device": device,
        "precision": precision,
        "versions": installed_versions(),
    }
    return system_of(bundle.manifest).pipeline(bundle.manifest, sessions, identity, max_megapixels)


def _choose(variants: tuple[VariantSpec, ...], backend: str, precision: str, source: str) -> VariantSpec:
    for variant in variants:
        if variant.target == backend and variant.precision == precision:
            return variant
    have = ", ".join(sorted({f"{variant.target}/{variant.precision}" for variant in variants}))
    raise BackendUnavailable(
        source,
        got=f"{backend}/{precision}",
        expected=f"one of {have}",
        fix="choose one of these, or export another variant",
    )


def installed_versions() -> dict[str, str]:
    """Return the versions that can change a result."""
    versions = {"python": platform.python_version()}
    packages = ("numpy", "opencv-python-headless", "opencv-python", "onnxruntime", "onnxruntime-gpu", "openvino")
    for name in ("fundusrt", *packages):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
