"""A bundle is opened only when every byte of it is accounted for."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fundusrt import Bundle, BundleError, CertificateError
from fundusrt.bundle import shipped_bundles
from fundusrt.testing import tiny_bundle
from tests.sdk.bundle_attacks import change_manifest, pack, record


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- what is accepted


def test_a_folder_opens(tiny: Path) -> None:
    bundle = Bundle.open(tiny)
    assert bundle.source == str(tiny)
    assert bundle.manifest.name == "tiny"
    assert sorted(bundle.contents) == [name for name in files_of(tiny) if name != "bundle.json"]
    assert bundle.read_bytes("large.onnx") == (tiny / "large.onnx").read_bytes()
    assert bundle.read_array("golden/whole.npz").shape == (64, 64)
    assert bundle.read_image("golden/image.png").shape == (144, 208)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_the_same_bundle(tiny: Path, tmp_path: Path, compression: int) -> None:
    folder, archive = Bundle.open(tiny), Bundle.open(pack(tiny, tmp_path / "tiny.frt", compression))
    assert archive.sha256 == folder.sha256
    assert archive.contents == folder.contents
    assert archive.manifest == folder.manifest


def test_the_identity_is_the_hash_of_the_manifest_file(tiny: Path) -> None:
    import hashlib

    assert Bundle.open(tiny).sha256 == hashlib.sha256((tiny / "bundle.json").read_bytes()).hexdigest()


def test_files_that_the_manifest_does_not_record_are_not_read(tiny_copy: Path) -> None:
    (tiny_copy / "engine.cache").write_bytes(b"x")
    assert "engine.cache" not in Bundle.open(tiny_copy).contents
    with pytest.raises(BundleError, match=r"engine.cache: got no such file; expected a file the manifest records"):
        Bundle.open(tiny_copy).read_bytes("engine.cache")


def test_shipped_bundles_open_by_name(tiny_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fundusrt.bundle.shipped_bundles", lambda: {"leakage": tiny_copy})
    assert Bundle.open("leakage").manifest.name == "tiny"
    with pytest.raises(
        BundleError, match=r"bundle 'exudate': got no such file or folder; .*a shipped name \(leakage\)"
    ):
        Bundle.open("exudate")


def test_a_bundle_here_with_a_shipped_name_is_not_passed_over(
    tiny_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fundusrt.bundle.shipped_bundles", lambda: {"leakage": tiny_copy})
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "leakage").mkdir()
    assert Bundle.open("leakage").manifest.name == "tiny"  # a folder of that name is not yet a bundle
    shutil.copytree(tiny_copy, here / "leakage", dirs_exist_ok=True)
    with pytest.raises(BundleError, match=r"bundle 'leakage': got the name of .*; write \./leakage"):
        Bundle.open("leakage")
    (here / "leakage" / "small.onnx").unlink()
    for own in (Path("leakage"), "./leakage"):
        with pytest.raises(BundleError, match=r"small\.onnx: got no such file"):
            Bundle.open(own)


def test_every_shipped_bundle_opens() -> None:
    for name in shipped_bundles():
        assert Bundle.open(name).manifest.name == name


# --- changed bytes


def test_any_flipped_bit_of_any_file_is_refused(tiny: Path, tmp_path: Path) -> None:
    """A sample of positions in each file, the first and last byte among them; more of them in `bundle.json`."""
    folder = Path(shutil.copytree(tiny, tmp_path / "tiny"))
    rng = np.random.default_rng(11)
    names = files_of(folder)
    assert "bundle.json" in names
    assert len(names) == 11
    for name in names:
        original = (folder / name).read_bytes()
        count = 150 if name == "bundle.json" else 12
        positions = {0, len(original) - 1, *(int(p) for p in rng.integers(0, len(original), count))}
        if name == "bundle.json":
            positions -= {len(original) - 1}  # the final line break, which is no content
        for position in sorted(positions):
            changed = bytearray(original)
            changed[position] ^= 1 << int(rng.integers(0, 8))
            (folder / name).write_bytes(changed)
            with pytest.raises(BundleError):
                Bundle.open(folder)
        (folder / name).write_bytes(original)
    Bundle.open(folder)


def test_a_changed_file_is_named_with_both_hashes(tiny_copy: Path) -> None:
    (tiny_copy / "small.onnx").write_bytes((tiny_copy / "small.onnx").read_bytes()[:-1] + b"!")
    message = (
        r"tiny, small.onnx: got sha256 [0-9a-f]{12}…, \d+ bytes; expected sha256 [0-9a-f]{12}…, \d+ bytes; "
        "the file was changed or damaged; copy or export the bundle again"
    )
    with pytest.raises(BundleError, match=message):
        Bundle.open(tiny_copy)


def test_a_longer_and_a_shorter_file(tiny_copy: Path) -> None:
    original = (tiny_copy / "MODEL_CARD.md").read_bytes()
    (tiny_copy / "MODEL_CARD.md").write_bytes(original + b"\n")
    with pytest.raises(
        BundleError, match=f"MODEL_CARD.md: got {len(original) + 1} bytes; at most {len(original)} were"
    ):
        Bundle.open(tiny_copy)
    (tiny_copy / "MODEL_CARD.md").write_bytes(original[:-1])
    with pytest.raises(BundleError, match=r"MODEL_CARD.md: got sha256"):
        Bundle.open(tiny_copy)


@pytest.mark.parametrize("size", [0, 10**6])
def test_a_wrong_size_in_the_manifest_is_noticed(tiny_copy: Path, size: int) -> None:
    content = json.loads((tiny_copy / "bundle.json").read_text())
    content["files"]["large.onnx"]["bytes"] = size
    (tiny_copy / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match=r"large.onnx: got"):
        Bundle.open(tiny_copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"postprocess__threshold": 0.4},
        {"postprocess__w_large": 1.0},
        {"preprocess__gamma": 1.0},
        {"preprocess__clahe": None},
        {"description": "other"},
        {"intended_use": "Diagnosis."},
        {"version": "9"},
    ],
)
def test_an_edited_field_of_the_manifest_does_not_fit_the_certificate(tiny_copy: Path, changes: dict[str, Any]) -> None:
    change_manifest(tiny_copy, **changes)
    with pytest.raises(CertificateError, match=r"certificate.json: got another manifest than bundle.json"):
        Bundle.open(tiny_copy)


def test_a_changed_network_with_a_changed_hash_does_not_fit_the_certificate(tiny_copy: Path) -> None:
    (tiny_copy / "small.onnx").write_bytes((tiny_copy / "large.onnx").read_bytes())
    record(tiny_copy, "small.onnx")
    with pytest.raises(
        CertificateError, match=r"no matching sha256 for small.onnx; expected every ONNX file certified"
    ):
        Bundle.open(tiny_copy)


def test_another_bundle_s_certificate(tiny_copy: Path, tmp_path: Path) -> None:
    other = tiny_bundle(tmp_path / "other", tile_px=64, whole_px=48)
    shutil.copy(other / "certificate.json", tiny_copy / "certificate.json")
    record(tiny_copy, "certificate.json")
    with pytest.raises(CertificateError, match=r"another manifest than bundle.json"):
        Bundle.open(tiny_copy)


def test_a_failed_rung_with_a_changed_hash(tiny_copy: Path) -> None:
    content = json.loads((tiny_copy / "certificate.json").read_text())
    content["rungs"][2]["measurements"][0]["value"] = 0.01
    (tiny_copy / "certificate.json").write_text(json.dumps(content))
    record(tiny_copy, "certificate.json")
    with pytest.raises(
        CertificateError, match=r"rung torch-to-onnxruntime: got max \|difference\| / range 0.01, limit 0.0001"
    ):
        Bundle.open(tiny_copy)
