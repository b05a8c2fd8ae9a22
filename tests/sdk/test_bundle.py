"""A bundle is opened only when every byte of it is accounted for."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import struct
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fundusrt
from fundusrt import Bundle, BundleError, CertificateError
from fundusrt.bundle import shipped_bundles
from fundusrt.testing import tiny_bundle
from tests.sdk.bundle_attacks import change_manifest, edit_json, pack, record, reseal
from tests.sdk.test_onnx_file import both, in_function, in_nested_ifs

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs links and pipes as POSIX has them")


@pytest.fixture
def tiny_zip(tiny: Path, tmp_path: Path) -> Path:
    return pack(tiny, tmp_path / "tiny.frt")


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


@posix_only
def test_a_link_inside_the_bundle_is_followed(tiny_copy: Path) -> None:
    (tiny_copy / "large.onnx").rename(tiny_copy / "real.onnx")
    (tiny_copy / "large.onnx").symlink_to("real.onnx")
    Bundle.open(tiny_copy)


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
    content["rungs"][1]["measurements"][0]["value"] = 0.01
    (tiny_copy / "certificate.json").write_text(json.dumps(content))
    record(tiny_copy, "certificate.json")
    with pytest.raises(CertificateError, match=r"rung torch-to-onnxruntime: got max abs difference 0.01, limit 0.0001"):
        Bundle.open(tiny_copy)


# --- missing and misplaced files


@pytest.mark.parametrize("name", ["bundle.json", "large.onnx", "certificate.json", "MODEL_CARD.md", "golden/mask.png"])
def test_a_missing_file(tiny_copy: Path, tmp_path: Path, name: str) -> None:
    (tiny_copy / name).unlink()
    message = f"{name}: got no such file; expected a complete bundle; copy or export it again"
    with pytest.raises(BundleError, match=message):
        Bundle.open(tiny_copy)
    with pytest.raises(BundleError, match=message):
        Bundle.open(pack(tiny_copy, tmp_path / "tiny.frt"))


BAD_NAMES = [
    "/etc/hostname", "../secret", "golden/../../secret", "..", ".", "", "a\\b", "..\\secret", "C:\\x", "c:x", "a//b",
    "./a", "a/./b", "a/", "/", ".hidden", "a b", "a\0b", "a\nb", "é", "~/x", "%2e%2e/x",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_unsafe_recorded_name_is_refused_before_anything_is_read(tiny_copy: Path, name: str) -> None:
    (tiny_copy.parent / "secret").write_bytes(b"secret")
    content = json.loads((tiny_copy / "bundle.json").read_text())
    content["files"][name] = {"sha256": "0" * 64, "bytes": 10}
    (tiny_copy / "bundle.json").write_text(json.dumps(content))
    message = re.escape(f"file name {name!r}: got an absolute path, '..' or an unusual character")
    with pytest.raises(BundleError, match=message):
        Bundle.open(tiny_copy)


@pytest.mark.parametrize("field", ["certificate", "model_card", "golden__image"])
def test_an_unsafe_name_in_a_field_is_refused(tiny_copy: Path, field: str) -> None:
    content = edit_json(tiny_copy / "bundle.json", **{field: "../secret"})
    content["files"]["../secret"] = {"sha256": "0" * 64, "bytes": 6}
    (tiny_copy / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match=r"file name '\.\./secret': got an absolute path"):
        Bundle.open(tiny_copy)


@posix_only
@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_out_of_the_bundle(tiny_copy: Path, absolute: bool) -> None:
    outside = tiny_copy.parent / "outside.onnx"
    shutil.move(tiny_copy / "large.onnx", outside)
    (tiny_copy / "large.onnx").symlink_to(outside if absolute else "../outside.onnx")
    with pytest.raises(
        BundleError, match=r"large.onnx: got a link that leads out of the bundle; expected a readable file"
    ):
        Bundle.open(tiny_copy)


@posix_only
def test_a_linked_folder_out_of_the_bundle(tiny_copy: Path) -> None:
    shutil.move(tiny_copy / "golden", tiny_copy.parent / "golden")
    (tiny_copy / "golden").symlink_to("../golden")
    with pytest.raises(BundleError, match=r"golden/.*: got a link that leads out of the bundle"):
        Bundle.open(tiny_copy)


@posix_only
def test_links_that_lead_nowhere_or_in_a_circle(tiny_copy: Path) -> None:
    (tiny_copy / "large.onnx").unlink()
    (tiny_copy / "large.onnx").symlink_to("absent")
    with pytest.raises(BundleError, match=r"large.onnx: got no such file"):
        Bundle.open(tiny_copy)
    (tiny_copy / "large.onnx").unlink()
    (tiny_copy / "large.onnx").symlink_to("large.onnx")
    with pytest.raises(BundleError, match=r"large.onnx: got "):
        Bundle.open(tiny_copy)


@posix_only
def test_a_pipe_in_place_of_a_file_does_not_hang(tiny_copy: Path) -> None:
    (tiny_copy / "large.onnx").unlink()
    os.mkfifo(tiny_copy / "large.onnx")
    with pytest.raises(BundleError, match=r"large.onnx: got a folder, a pipe or a device"):
        Bundle.open(tiny_copy)


def test_a_folder_in_place_of_a_file(tiny_copy: Path) -> None:
    (tiny_copy / "large.onnx").unlink()
    (tiny_copy / "large.onnx").mkdir()
    with pytest.raises(BundleError, match=r"large.onnx: got a folder, a pipe or a device"):
        Bundle.open(tiny_copy)


# --- what is no bundle


@pytest.mark.parametrize("name", ["absent", "x" * 5000, "a\0b", "dir/absent.frt"])
def test_a_path_that_is_not_there(name: str) -> None:
    with pytest.raises(
        BundleError, match=r"^bundle '.*': got .*; expected a bundle folder, a .frt file, or a shipped name"
    ):
        Bundle.open(name)


@posix_only
def test_a_pipe_is_no_bundle(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.frt")
    with pytest.raises(BundleError, match="got neither a file nor a folder"):
        Bundle.open(tmp_path / "pipe.frt")


def test_an_empty_folder_and_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"bundle.json: got no such file"):
        Bundle.open(tmp_path)
    (tmp_path / "empty.frt").touch()
    with pytest.raises(BundleError, match=r"empty.frt: got File is not a zip file; expected a bundle folder or a .frt"):
        Bundle.open(tmp_path / "empty.frt")


def test_a_newer_format_says_so(tiny_copy: Path) -> None:
    change_manifest(tiny_copy, format_version=2, entirely_new={"field": 1})
    message = (
        "bundle.json, format_version: got Input should be 1; expected a manifest of format version 1; "
        "update fundusrt, or export the bundle again with this version"
    )
    with pytest.raises(BundleError, match=message):
        Bundle.open(tiny_copy)


def test_an_unknown_field_is_refused(tiny_copy: Path) -> None:
    change_manifest(tiny_copy, preprocess__sharpen=True)
    with pytest.raises(BundleError, match=r"bundle.json, preprocess.sharpen: got Extra inputs are not permitted"):
        Bundle.open(tiny_copy)


def test_a_manifest_that_claims_more_than_can_be(tiny_copy: Path) -> None:
    content = json.loads((tiny_copy / "bundle.json").read_text())
    content["files"]["MODEL_CARD.md"]["bytes"] = 2**40
    (tiny_copy / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match=r"bundle.json, files: got 10995.* bytes in all; expected at most 2147483648"):
        Bundle.open(tiny_copy)


def test_a_huge_manifest_is_not_read(tiny_copy: Path) -> None:
    (tiny_copy / "bundle.json").write_bytes(b" " * (4 * 2**20 + 1))
    with pytest.raises(BundleError, match=r"bundle.json: got 4194305 bytes; at most 4194304 were expected"):
        Bundle.open(tiny_copy)


# --- networks that point outside


@pytest.mark.parametrize("make", [in_nested_ifs, lambda tensor: in_function(tensor, default=True)])
def test_external_onnx_data_is_refused_although_all_hashes_hold(tiny_copy: Path, make: Any) -> None:
    (tiny_copy / "large.onnx").write_bytes(make(both("secret")).SerializeToString())
    reseal(tiny_copy)
    with pytest.raises(BundleError, match=r"large.onnx, tensor 'secret': got data in another file"):
        Bundle.open(tiny_copy)


def test_a_network_that_is_no_protocol_buffer(tiny_copy: Path) -> None:
    (tiny_copy / "large.onnx").write_bytes(b"\xff" * 100)
    reseal(tiny_copy)
    with pytest.raises(BundleError, match=r"large.onnx: got bytes that are no ONNX model"):
        Bundle.open(tiny_copy)


# --- zip files


def test_a_truncated_zip_is_refused_at_every_length(tiny_zip: Path) -> None:
    content = tiny_zip.read_bytes()
    for length in [*range(0, len(content), len(content) // 60), len(content) - 1]:
        tiny_zip.write_bytes(content[:length])
        with pytest.raises(BundleError):
            Bundle.open(tiny_zip)


def test_a_flipped_bit_in_a_zip_is_refused_or_changes_nothing(tiny_zip: Path) -> None:
    """A zip has bytes without meaning here: time stamps, attributes."""
    content = tiny_zip.read_bytes()
    truth = Bundle.open(tiny_zip)
    rng = np.random.default_rng(4)
    refused = 0
    for position in rng.integers(0, len(content), 250):
        changed = bytearray(content)
        changed[int(position)] ^= 1 << int(rng.integers(0, 8))
        tiny_zip.write_bytes(changed)
        try:
            bundle = Bundle.open(tiny_zip)
        except BundleError:
            refused += 1
        else:
            assert bundle.contents == truth.contents
            assert bundle.sha256 == truth.sha256
    assert refused > 150


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_stores_a_name_twice(tiny_zip: Path) -> None:
    with zipfile.ZipFile(tiny_zip, "a") as archive:
        archive.writestr("large.onnx", b"another")
    with pytest.raises(BundleError, match=r"tiny.frt: got a file stored twice; expected each file once"):
        Bundle.open(tiny_zip)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "golden/../../evil", "a\\..\\evil", "..", "C:/evil"])
def test_a_zip_with_a_member_that_leads_out(tiny_zip: Path, name: str) -> None:
    with zipfile.ZipFile(tiny_zip, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"evil")
    with pytest.raises(BundleError, match=r"file name '.*': got an absolute path, '..' or an unusual character"):
        Bundle.open(tiny_zip)
    assert not (tiny_zip.parent.parent / "evil").exists()


def test_a_zip_with_folder_entries_is_fine(tiny_zip: Path) -> None:
    with zipfile.ZipFile(tiny_zip, "a") as archive:
        archive.writestr(zipfile.ZipInfo("golden/"), b"")
    Bundle.open(tiny_zip)


def test_a_zip_member_larger_than_recorded_is_not_inflated(tiny_copy: Path, tmp_path: Path) -> None:
    """The honest bomb: its directory says how large it is."""
    (tiny_copy / "large.onnx").write_bytes(b"\0" * 2**24)
    archive = pack(tiny_copy, tmp_path / "bomb.frt")
    assert archive.stat().st_size < 2**20
    with pytest.raises(BundleError, match=r"large.onnx: got 16777216 bytes; at most 232 were expected"):
        Bundle.open(archive)


def test_a_zip_that_lies_about_its_sizes_is_not_inflated(tiny_copy: Path, tmp_path: Path) -> None:
    """The dishonest bomb: 16 MiB behind a directory entry of 232 bytes."""
    recorded = (tiny_copy / "large.onnx").stat().st_size
    (tiny_copy / "large.onnx").write_bytes(b"\0" * 2**24)
    archive = pack(tiny_copy, tmp_path / "bomb.frt")
    content = bytearray(archive.read_bytes())
    local, listed = content.find(b"large.onnx") - 30, content.rfind(b"large.onnx") - 46
    for position in (local + 22, listed + 24):  # the uncompressed size in the local header and in the directory
        assert struct.unpack_from("<I", content, position) == (2**24,)
        struct.pack_into("<I", content, position, recorded)
    archive.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=r"large.onnx: got "):
            Bundle.open(archive)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_without_a_bound_are_refused(tiny: Path, tmp_path: Path, compression: int) -> None:
    with pytest.raises(BundleError, match=r"bundle.json: got compression method \d+; stored or deflated was expected"):
        Bundle.open(pack(tiny, tmp_path / "tiny.frt", compression))


def test_an_encrypted_zip(tiny_zip: Path) -> None:
    content = bytearray(tiny_zip.read_bytes())
    position = content.find(b"PK\x01\x02")
    while position >= 0:  # set bit 0 of the flags of every directory entry
        content[position + 8] |= 1
        position = content.find(b"PK\x01\x02", position + 4)
    tiny_zip.write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle.json: got .*encrypted"):
        Bundle.open(tiny_zip)


# --- golden arrays and images


def rewrite(folder: Path, name: str, content: bytes) -> Bundle:
    (folder / name).write_bytes(content)
    reseal(folder)
    return Bundle.open(folder)


def saved(*arrays: Any, pickled: bool = False, archive: bool = True) -> bytes:
    stream = io.BytesIO()
    if archive:
        np.savez(stream, *arrays)
    else:
        np.save(stream, arrays[0], allow_pickle=pickled)
    return stream.getvalue()


class Trap:
    """Unpickling this would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("unpickled", "w"))


def test_pickled_golden_arrays_are_not_unpickled(
    tiny_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    objects = np.array([Trap()], dtype=object)
    for content in (saved(objects, pickled=True, archive=False), saved(objects)):
        bundle = rewrite(tiny_copy, "golden/whole.npz", content)
        with pytest.raises(BundleError, match=r"golden/whole.npz: got Object arrays cannot be loaded"):
            bundle.read_array("golden/whole.npz")
        with pytest.raises(BundleError, match=r"golden/whole.npz: got Object arrays cannot be loaded"):
            fundusrt.load(tiny_copy)
    import pickle

    bundle = rewrite(tiny_copy, "golden/whole.npz", pickle.dumps(Trap()))
    with pytest.raises(BundleError, match=r"golden/whole.npz: got .*; expected one plain NumPy array"):
        bundle.read_array("golden/whole.npz")
    assert not (tmp_path / "unpickled").exists()


def huge_header() -> bytes:
    content = saved(np.zeros(4), archive=False)
    return content.replace(b"(4,), }" + b" " * 14, b"(" + b"9" * 15 + b",), }")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x05\x06" + b"\0" * 18,
        b"PK\x03\x04 no zip",
        saved(np.zeros(3), np.ones(3)),
        saved(np.zeros(300))[:-40],
        saved(np.zeros(300))[: len(saved(np.zeros(300))) // 2],
        saved(np.zeros(300), archive=False)[:-8],
        huge_header(),
        b"\x93NUMPY\x01\0v\0" + b"{" * 118,
        b"\x93NUMPY\x09\0v\0" + b" " * 118,
    ],
)
def test_what_is_no_array(tiny_copy: Path, content: bytes) -> None:
    bundle = rewrite(tiny_copy, "golden/grid.npz", content)
    with pytest.raises(BundleError, match=r"golden/grid.npz: got .*; expected one plain NumPy array"):
        bundle.read_array("golden/grid.npz")


def test_an_array_that_would_inflate_without_end_is_not_loaded(tiny_copy: Path) -> None:
    stream = io.BytesIO(saved(np.zeros(4)))
    content = stream.getvalue()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = archive.infolist()[0].file_size
    lie = content.replace(struct.pack("<I", size), struct.pack("<I", 2**32 - 2))
    bundle = rewrite(tiny_copy, "golden/grid.npz", lie)
    with pytest.raises(BundleError, match=r"golden/grid.npz: got 4294967294 bytes; at most 2147483648 were expected"):
        bundle.read_array("golden/grid.npz")


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image(tiny_copy: Path, content: bytes) -> None:
    bundle = rewrite(tiny_copy, "golden/mask.png", content)
    with pytest.raises(BundleError, match=r"golden/mask.png: got no 8-bit image; expected a PNG file"):
        bundle.read_image("golden/mask.png")


# --- fuzzing


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
        st.sampled_from(["../x", "/x", "large.onnx", "0" * 64, "tile", 512, 64, 0.5]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=5,
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON document."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@given(data=st.data())
def test_a_mutated_manifest_is_refused_or_means_the_same(tiny: Path, data: st.DataObject) -> None:
    target = fuzzing_copy(tiny)
    content = json.loads((tiny / "bundle.json").read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(content)))
        action = data.draw(st.sampled_from(["replace", "delete", "add"]))
        if action == "delete" and key in (container if isinstance(container, dict) else range(len(container))):
            del container[key]
        elif action == "add" and isinstance(container, dict):
            container[data.draw(st.text(max_size=6))] = data.draw(JSON)
        elif isinstance(container, dict) or key < len(container):
            container[key] = data.draw(JSON)
    (target / "bundle.json").write_text(json.dumps(content))
    try:
        bundle = Bundle.open(target)
    except BundleError:
        pass
    else:
        assert bundle.manifest.content_sha256() == Bundle.open(tiny).manifest.content_sha256()


@given(
    content=st.one_of(st.binary(max_size=100), st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
)
def test_any_bytes_in_place_of_the_manifest_are_answered(tiny: Path, content: bytes) -> None:
    target = fuzzing_copy(tiny)
    (target / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle.json"):
        Bundle.open(target)


@given(content=st.binary(max_size=200))
def test_any_bytes_in_place_of_the_zip_are_answered(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fuzz.frt").write_bytes(content)
    with pytest.raises(BundleError):
        Bundle.open(tmp_path / "fuzz.frt")


@given(data=st.data())
def test_a_broken_zip_directory_is_answered(tiny_zip: Path, data: st.DataObject) -> None:
    """Where `zipfile` itself fails in a dozen ways: only the directory at the end is changed."""
    content = bytearray(CACHE.setdefault("zip", tiny_zip.read_bytes()))
    start = content.rfind(b"PK\x01\x02") - 200
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(start, len(content) - 1))] = data.draw(st.integers(0, 255))
    tiny_zip.write_bytes(content)
    with contextlib.suppress(BundleError):
        Bundle.open(tiny_zip)


CACHE: dict[str, Any] = {}


def fuzzing_copy(tiny: Path) -> Path:
    """One copy for all examples: only its `bundle.json` is written."""
    if "copy" not in CACHE:
        CACHE["copy"] = Path(shutil.copytree(tiny, tiny.parent / "fuzz"))
    return CACHE["copy"]


def test_deeply_nested_json(tiny_copy: Path) -> None:
    depth = sys.getrecursionlimit() * 20
    (tiny_copy / "bundle.json").write_text('{"name":' * depth + "1" + "}" * depth)
    with pytest.raises(BundleError, match=r"bundle.json"):
        Bundle.open(tiny_copy)
