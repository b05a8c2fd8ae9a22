"""Write the seeds of the fuzzer into a folder: `python cpp_examples/fuzz/seeds.py FOLDER`.

The first byte of a seed chooses the reader (fuzz_bundle.cpp); the rest is a small honest file for it.
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from pathlib import Path

from fundusrt.testing import tiny_bundle


def seeds() -> dict[str, bytes]:
    """Return the content of each seed by its name."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = tiny_bundle(Path(folder) / "tiny", tile_px=32, whole_px=32)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(bundle.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(bundle).as_posix())
        files = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    readers = {".json": 1, ".onnx": 2, ".npy": 4, ".npz": 4, ".png": 5}
    made = {"bundle": bytes([0]) + packed.getvalue()}
    for name, content in files.items():
        reader = 5 if name == "certificate.json" else readers.get(Path(name).suffix)
        if reader is not None:
            made[name.replace("/", "-")] = bytes([reader]) + content
        if reader == 2:
            made[f"weights-{name}"] = bytes([3]) + content
    return made


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name, content in seeds().items():
        (target / name).write_bytes(content)
