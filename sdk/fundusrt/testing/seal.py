"""Hashes and a certificate for a bundle whose files were made by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fundusrt.bundle import MANIFEST_FILE
from fundusrt.certificate import Certificate, Measurement, Rung
from fundusrt.ladder import needed_limits
from fundusrt.manifest import AnyManifest, parse_manifest

__all__ = ["seal_bundle"]


def seal_bundle(folder: str | Path, content: Mapping[str, Any]) -> AnyManifest:
    """Write `bundle.json` and a certificate that fit the files in a folder, whatever those hold.

    The figures of the certificate are invented: this makes test cases, the export makes bundles.

    Args:
        folder: holds every file of the bundle; hashes are taken from it.
        content: the fields of `bundle.json`; `files` is replaced.

    Returns:
        The manifest as written.
    """
    folder = Path(folder)
    named = parse_manifest(content).certificate

    def records() -> dict[str, dict[str, Any]]:
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST_FILE)
        read = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in read.items()}

    (folder / named).touch()
    manifest = parse_manifest({**content, "files": records()})
    certificate = Certificate(
        bundle=manifest.name,
        manifest_sha256=manifest.content_sha256(),
        files={name: manifest.files[name].sha256 for name in manifest.network_files()},
        rungs=tuple(
            Rung(name=name, compares="nothing: invented for a test", inputs={}, measurements=_figures(name, manifest))
            for name in manifest.needed_rungs()
        ),
        environment={"made by": "fundusrt.testing; nothing was measured"},
    )
    (folder / named).write_text(certificate.model_dump_json(indent=2) + "\n")
    manifest = parse_manifest({**content, "files": records()})
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n")
    return manifest


def _figures(rung: str, manifest: AnyManifest) -> tuple[Measurement, ...]:
    """Return every figure that the ladder asks for, at the best value it can have or at its limit."""
    files = {each.file for each in manifest.variants() if f"precision-{each.precision}" == rung}
    return tuple(
        Measurement(
            metric=f"{file}: {limit.metric}" if file else limit.metric,
            value=0.0 if limit.bound == "at_most" else limit.value,
            limit=limit.value,
            bound=limit.bound,
        )
        for file in sorted(files) or [""]
        for limit in needed_limits(rung, manifest.task)
    )
