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
from fundusrt.ladder import LADDER, limit_for, needed_limits

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
            _check_measurement(f"{subject}, rung {rung.name}", rung.name, measurement)
    _check_completeness(subject, certificate, manifest)
    return certificate


def _check_measurement(subject: str, rung: str, measurement: Measurement) -> None:
    """Refuse a figure that does not hold, or with a looser limit than the ladder's, whatever the certificate says."""
    metric, limit, known = measurement.metric, measurement.limit, limit_for(rung, measurement.metric)
    if known is None and rung in LADDER:
        expected = "; ".join(each.metric for each in LADDER[rung].limits.values())
        raise _refusal(subject, f"the figure {metric!r}", f"a figure of the ladder: {expected}")
    bound = measurement.bound if known is None else known.bound
    if known is not None:
        limit = max(limit, known.value) if bound == "at_least" else min(limit, known.value)
    if bound != measurement.bound or limit != measurement.limit or not measurement.holds:
        got = f"{metric} {measurement.value:.3g}, limit {measurement.limit:.3g}, {measurement.bound.replace('_', ' ')}"
        raise _refusal(subject, got, f"{metric} {'>=' if bound == 'at_least' else '<='} {limit:.3g}")


def _check_completeness(subject: str, certificate: Certificate, manifest: BundleManifest) -> None:
    """Refuse a certificate that leaves out a figure: of a reduced precision, one of each of its files."""
    for rung in certificate.rungs:
        if rung.name not in manifest.needed_rungs():
            continue
        metrics = [measurement.metric for measurement in rung.measurements]
        reduced = {each.file for each in manifest.variants() if f"precision-{each.precision}" == rung.name}
        for limit in needed_limits(rung.name, manifest.task):
            wanted = [f"{file}: {limit.metric}" for file in sorted(reduced)] or [limit.metric]
            for want in wanted:
                if not any(metric == want or metric.endswith(f": {want}") for metric in metrics):
                    raise _refusal(f"{subject}, rung {rung.name}", f"no figure {want!r}", "every figure of the ladder")


def missing_rungs(rungs: Sequence[Rung], manifest: BundleManifest) -> list[str]:
    """Return the names of the rungs that the manifest's system needs and that are not there."""
    names = {rung.name for rung in rungs}
    return [name for name in manifest.needed_rungs() if name not in names]


def _refusal(subject: str, got: str, expected: str) -> CertificateError:
    return CertificateError(subject, got=got, expected=expected, fix="export the bundle again")
