"""Damaged and hostile bundles: C++ refuses what Python refuses, with the same code."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fundusrt.bundle import Bundle, shipped_bundles
from fundusrt.errors import BundleError, CertificateError, FundusRTError
from tests.cpp.c_library import CLibrary, Failure
from tests.sdk.bundle_attacks import change_manifest, edit_json, pack, record, reseal


@pytest.fixture(scope="module")
def library(built: Path) -> CLibrary:
    return CLibrary(built / "libfundusrt_c.so")


def truncate(folder: Path, name: str = "segmentation.onnx") -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-7])


def flip(folder: Path) -> None:
    content = bytearray((folder / "segmentation.onnx").read_bytes())
    content[1000] ^= 1
    (folder / "segmentation.onnx").write_bytes(content)


def rename_record(folder: Path, name: str) -> None:
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"][name] = manifest["files"]["MODEL_CARD.md"]
    (folder / "bundle.json").write_text(json.dumps(manifest))


def link_out(folder: Path) -> None:
    outside = folder.parent / "outside.md"
    shutil.move(folder / "MODEL_CARD.md", outside)
    os.symlink(outside, folder / "MODEL_CARD.md")


def fifo(folder: Path) -> None:
    (folder / "MODEL_CARD.md").unlink()
    os.mkfifo(folder / "MODEL_CARD.md")


def external_data(folder: Path) -> None:
    # A graph (field 7) with an initializer (5) whose data_location (14) is EXTERNAL (1).
    (folder / "segmentation.onnx").write_bytes(bytes([0x3A, 4, 0x2A, 2, 0x70, 1]))
    record(folder, "segmentation.onnx")
    reseal(folder)


def huge(folder: Path) -> None:
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["MODEL_CARD.md"]["bytes"] = 2**40
    (folder / "bundle.json").write_text(json.dumps(manifest))


def failing_figure(folder: Path) -> None:
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["rungs"][0]["measurements"][0]["value"] = 1.0
    (folder / "certificate.json").write_text(json.dumps(certificate))
    record(folder, "certificate.json")


def loose_limit(folder: Path) -> None:
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["rungs"][0]["measurements"][0]["limit"] = 1.0
    (folder / "certificate.json").write_text(json.dumps(certificate))
    record(folder, "certificate.json")


def without_rung(folder: Path) -> None:
    certificate = json.loads((folder / "certificate.json").read_text())
    del certificate["rungs"][0]
    (folder / "certificate.json").write_text(json.dumps(certificate))
    record(folder, "certificate.json")


ATTACKS: dict[str, tuple[Callable[[Path], Any], type[FundusRTError]]] = {
    "bad hash": (flip, BundleError),
    "truncated": (truncate, BundleError),
    "absent": (lambda folder: (folder / "segmentation.onnx").unlink(), BundleError),
    "no manifest": (lambda folder: (folder / "bundle.json").unlink(), BundleError),
    "truncated manifest": (lambda folder: truncate(folder, "bundle.json"), BundleError),
    "traversal": (lambda folder: rename_record(folder, "../outside.md"), BundleError),
    "absolute": (lambda folder: rename_record(folder, "/etc/passwd"), BundleError),
    "backslash": (lambda folder: rename_record(folder, "a\\b"), BundleError),
    "link that leads out": (link_out, BundleError),
    "pipe": (fifo, BundleError),
    "huge": (huge, BundleError),
    "external data": (external_data, BundleError),
    "unknown field": (lambda folder: edit_json(folder / "bundle.json", more=1), BundleError),
    "newer format": (lambda folder: edit_json(folder / "bundle.json", format_version=2), BundleError),
    "unknown system": (lambda folder: edit_json(folder / "bundle.json", system="other"), BundleError),
    "threshold 0": (lambda folder: edit_json(folder / "bundle.json", postprocess__threshold=0.0), BundleError),
    "text for a number": (lambda folder: edit_json(folder / "bundle.json", postprocess__threshold="0.5"), BundleError),
    "another threshold": (lambda folder: change_manifest(folder, postprocess__threshold=0.4), CertificateError),
    "failing figure": (failing_figure, CertificateError),
    "loose limit": (loose_limit, CertificateError),
    "rung left out": (without_rung, CertificateError),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_bundles()["exudate"], tmp_path / "bundle"))


def refusal(library: CLibrary, path: Path) -> Failure:
    with pytest.raises(Failure) as caught:
        library.open_bundle(path)
    return caught.value


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_same_code(library: CLibrary, folder: Path, attack: str) -> None:
    change, kind = ATTACKS[attack]
    change(folder)
    with pytest.raises(FundusRTError) as python:
        Bundle.open(folder)
    assert python.value.code == kind.code
    assert refusal(library, folder).code == kind.code


def test_an_honest_change_is_accepted(library: CLibrary, folder: Path) -> None:
    """Defaults left out, whole numbers for real ones: the content hash is that of the parsed manifest."""
    reseal(folder, postprocess__threshold=0.25, input__mean=[0, 1, 0], input__std=[1, 2e-7, 1e20])
    assert Bundle.open(folder).manifest.name == "exudate"
    library.raw.frt_bundle_close(library.open_bundle(folder))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip(library: CLibrary, folder: Path, tmp_path: Path, compression: int) -> None:
    path = pack(folder, tmp_path / "packed.frt", compression)
    bundle = library.open_bundle(path)
    assert library.raw.frt_bundle_sha256(bundle).decode() == Bundle.open(path).sha256
    library.raw.frt_bundle_close(bundle)


@pytest.mark.parametrize("size", [0, 1, 21, 22, 5000, -1, -22, -500])
def test_truncated_zip(library: CLibrary, folder: Path, tmp_path: Path, size: int) -> None:
    path = pack(folder, tmp_path / "packed.frt")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BundleError):
        Bundle.open(path)
    assert refusal(library, path).code == BundleError.code


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a//b", ".hidden"])
def test_zip_with_a_hostile_name(library: CLibrary, folder: Path, tmp_path: Path, name: str) -> None:
    path = pack(folder, tmp_path / "packed.frt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(BundleError):
        Bundle.open(path)
    assert refusal(library, path).code == BundleError.code


def test_zip_packed_otherwise(library: CLibrary, folder: Path, tmp_path: Path) -> None:
    path = pack(folder, tmp_path / "packed.frt", zipfile.ZIP_BZIP2)
    assert refusal(library, path).code == BundleError.code


def test_no_bundle(library: CLibrary, tmp_path: Path) -> None:
    assert refusal(library, tmp_path / "none").code == BundleError.code
