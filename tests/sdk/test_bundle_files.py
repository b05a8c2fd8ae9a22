"""Files of a bundle that are missing, misplaced or links, and paths that are no bundle."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from fundusrt import Bundle, BundleError
from tests.sdk.bundle_attacks import edit_json, pack

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs links and pipes as POSIX has them")


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


@posix_only
def test_a_link_inside_the_bundle_is_followed(tiny_copy: Path) -> None:
    (tiny_copy / "large.onnx").rename(tiny_copy / "real.onnx")
    (tiny_copy / "large.onnx").symlink_to("real.onnx")
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
