"""The certificate of a bundle: measured agreement at every step from PyTorch to the final mask.

The export writes it; the SDK refuses a bundle without one that holds. Each *rung* compares two neighbours of the chain
PyTorch as trained -> PyTorch as deployed -> ONNX Runtime -> result of the pipeline. The manifest's class names them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fundusrt.errors import CertificateError
from fundusrt.ladder import loosest

if TYPE_CHECKING:
    from fundusrt.manifest import BundleManifest

__all__ = ["Certificate", "Measurement", "Rung", "check_certificate", "missing_rungs"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measurement(_Frozen):
    """One measured figure and the limit it has to keep.

    `at_most`: value <= limit (differences). `at_least`: value >= limit (cosine, Dice). NaN and infinity never hold.
    """

    metric: str
    value: float
    limit: float
    bound: Literal["at_most", "at_least"]

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its limit."""
        if not (math.isfinite(self.value) and math.isfinite(self.limit)):
            return False
        return self.value <= self.limit if self.bound == "at_most" else self.value >= self.limit


class Rung(_Frozen):
    """One step of the ladder: what was compared, on which inputs, with which result."""

    name: str
    compares: str
    inputs: dict[str, str]
    measurements: Annotated[tuple[Measurement, ...], Field(min_length=1)]

    @property
    def holds(self) -> bool:
        """Whether every measurement keeps its limit."""
        return all(measurement.holds for measurement in self.measurements)


class Certificate(_Frozen):
    """The contents of `certificate.json`.

    `files` holds the sha256 of every certified ONNX file, `manifest_sha256` is `Manifest.content_sha256()`.
    """

    format: Literal["fundusrt-certificate"] = "fundusrt-certificate"
    format_version: Literal[1] = 1
    bundle: str
    manifest_sha256: str
    files: dict[str, str]
    rungs: tuple[Rung, ...]
    environment: dict[str, str]


def check_certificate(content: bytes, manifest: BundleManifest, source: str) -> Certificate:
    """Parse a certificate and refuse it unless it covers this manifest and every rung holds.

    Args:
        content: the bytes of `certificate.json`.
        manifest: the bundle's manifest; its `files` are taken as already verified.
        source: name of the bundle, for messages.

    Raises:
        CertificateError: malformed, for other files, a rung missing or not holding.
    """
    subject = f"{source}, {manifest.certificate}"
    try:
        certificate = Certificate.model_validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "content"
        raise _refusal(subject, f"{place}: {first['msg']}", "a FundusRT certificate") from error
    if certificate.manifest_sha256 != manifest.content_sha256():
        raise _refusal(subject, "another manifest than bundle.json", "a certificate made for this bundle.json")
    for name in manifest.network_files():
        if certificate.files.get(name) != manifest.files[name].sha256:
            raise _refusal(subject, f"no matching sha256 for {name}", "every ONNX file certified")
    missing = missing_rungs(certificate.rungs, manifest)
    if missing:
        raise _refusal(subject, f"no rung {', '.join(missing)}", f"the rungs {', '.join(manifest.needed_rungs())}")
    for rung in certificate.rungs:
        for measurement in rung.measurements:
            # A looser limit is refused even if the certificate itself states it.
            sign, limit = ">=", max(measurement.limit, loosest(rung.name, "at_least"))
            if measurement.bound == "at_most":
                sign, limit = "<=", min(measurement.limit, loosest(rung.name, "at_most"))
            if limit != measurement.limit or not measurement.holds:
                raise _refusal(
                    f"{subject}, rung {rung.name}",
                    f"{measurement.metric} {measurement.value:.3g}, limit {measurement.limit:.3g}",
                    f"{measurement.metric} {sign} {limit:.3g}",
                )
    return certificate


def missing_rungs(rungs: Sequence[Rung], manifest: BundleManifest) -> list[str]:
    """Return the names of the rungs that the manifest's system needs and that are not there."""
    names = {rung.name for rung in rungs}
    return [name for name in manifest.needed_rungs() if name not in names]


def _refusal(subject: str, got: str, expected: str) -> CertificateError:
    return CertificateError(subject, got=got, expected=expected, fix="export the bundle again")
