"""A zipped bundle is opened only when it is whole, and is never inflated without bound."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundusrt import Bundle, BundleError
from tests.sdk.bundle_attacks import pack


@pytest.fixture
def tiny_zip(tiny: Path, tmp_path: Path) -> Path:
    return pack(tiny, tmp_path / "tiny.frt")


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


# --- fuzzing


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
