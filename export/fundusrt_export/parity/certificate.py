"""Rungs to the certificate of a bundle."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

from fundusrt.certificate import Certificate, Rung, missing_rungs
from fundusrt.manifest import BundleManifest
from fundusrt_export.errors import ParityError

__all__ = ["environment", "make_certificate", "require_all", "require_holding"]

_PACKAGES = (
    "fundusrt",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "opencv-python-headless",
    "openvino",
    "PyWavelets",
    "pytorch_wavelets",
    "torch",
)


def require_all(rungs: Sequence[Rung], manifest: BundleManifest) -> None:
    """Refuse a ladder with a missing or failing rung.

    Raises:
        ParityError: names the missing rungs, or every figure that does not hold.
    """
    missing = missing_rungs(rungs, manifest)
    if missing:
        raise ParityError(
            "parity ladder",
            got=f"no rung {', '.join(missing)}",
            expected=", ".join(manifest.needed_rungs()),
            fix="report it with the command that was run",
        )
    require_holding(rungs)


def require_holding(rungs: Sequence[Rung]) -> None:
    """Refuse rungs of which one does not hold.

    Raises:
        ParityError: names every figure that does not hold.
    """
    failed = [(rung, figure) for rung in rungs for figure in rung.measurements if not figure.holds]
    if failed:
        signs = {"at_most": "<=", "at_least": ">="}
        raise ParityError(
            f"parity ladder, rung {failed[0][0].name}",
            got="; ".join(f"{rung.name}: {figure.metric} {figure.value:.3g}" for rung, figure in failed),
            expected="; ".join(f"{signs[figure.bound]} {figure.limit:g}" for _, figure in failed),
            fix="nothing was written; the export is not what was trained",
        )


def make_certificate(
    manifest: BundleManifest, rungs: Sequence[Rung], *, facts: Mapping[str, str] | None = None
) -> Certificate:
    """Return the certificate for a manifest and its ONNX files.

    Args:
        manifest: with the sha256 of the ONNX files in `files`.
        rungs: the measured ladder.
        facts: more strings for `environment`, such as the checkpoint's hash.

    Raises:
        ParityError: the ladder does not hold.
    """
    require_all(rungs, manifest)
    return Certificate(
        bundle=manifest.name,
        manifest_sha256=manifest.content_sha256(),
        files={name: manifest.files[name].sha256 for name in sorted(manifest.network_files())},
        rungs=tuple(rungs),
        environment={**environment(), **(facts or {})},
    )


def environment() -> dict[str, str]:
    """Return what can change a figure: package versions and the kind of machine, nothing that names one."""
    versions = {"python": platform.python_version(), "system": platform.system(), "processor": platform.machine()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "source tree" if name == "fundusrt" else "absent"
    return versions
