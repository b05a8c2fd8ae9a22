"""The same checkpoint gives the same bundle, byte for byte, in another process and folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_EXPORT = """
import sys, warnings
warnings.simplefilter("ignore")
from fundusrt_export.package import export_bundle
from tests.export.small_system import INFO
checkpoint, golden, patient, out = sys.argv[1:]
export_bundle(checkpoint, out, info=INFO, golden=golden, parity_images=[patient], threads=1)
"""


@pytest.mark.slow
def test_the_same_bytes_in_another_process(bundle: Path, material: dict[str, Path], tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    paths = [str(root / name) for name in ("sdk", "training", "export", ".")]
    given = [str(material[name]) for name in ("checkpoint", "golden", "patient")]
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{_EXPORT}", *given, str(tmp_path / "again")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    files = {path.relative_to(bundle): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path / "again"): path for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert set(files) == set(again)
    assert {Path("large.weights"), Path("large-openvino.onnx"), Path("certificate.json")} <= set(files)
    assert [str(name) for name, content in files.items() if again[name].read_bytes() != content] == []
