"""Changes to a bundle on disk that leave every other check satisfied."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from fundusrt.testing import seal_bundle

__all__ = ["change_manifest", "edit_json", "pack", "record", "reseal"]


def edit_json(path: Path, **changes: Any) -> dict[str, Any]:
    """Set fields of a JSON file; `a__b` is field b of a."""
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = content
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(json.dumps(content))
    return content


def change_manifest(folder: Path, **changes: Any) -> None:
    """Change fields of `bundle.json` and nothing else."""
    edit_json(folder / "bundle.json", **changes)


def record(folder: Path, name: str) -> None:
    """Take the hash of a changed file into `bundle.json`, as a careful attacker would."""
    content = json.loads((folder / "bundle.json").read_text())
    data = (folder / name).read_bytes()
    content["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "bundle.json").write_text(json.dumps(content))


def reseal(folder: Path, **changes: Any) -> None:
    """Make hashes and certificate fit again after any change, with other fields of the manifest."""
    seal_bundle(folder, edit_json(folder / "bundle.json", **changes))


def pack(folder: Path, target: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Zip a bundle folder."""
    with zipfile.ZipFile(target, "w", compression) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return target
