"""The fat binary that is shipped: the recorded one, made from the present sources."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fundusrt import BackendUnavailable
from fundusrt.kernels import build, module


def test_it_was_built_from_the_present_sources() -> None:
    record = module.read_record()
    assert record.source_sha256 == module.source_sha256(), "kernel sources changed: run `make kernels`"
    assert record.flags == build.FLAGS, "compiler flags changed: run `make kernels`"
    assert record.targets == build.SHIPPED
    assert record.ptx == build.PTX


def test_masks_can_be_identical() -> None:
    """A fused multiplication and addition that no source asks for changes probabilities in the last bit."""
    assert "-fmad=false" in module.read_record().flags
    assert not [flag for flag in module.read_record().flags if "fast" in flag]


def test_its_content_is_the_recorded_one() -> None:
    content = module.fat_binary()
    assert content[:4] == (0xBA55ED50).to_bytes(4, "little")  # a fat binary's magic number
    for name in module.read_record().kernels:
        assert name.startswith("frt_")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's folder, to be changed."""
    folder = tmp_path / "kernels"
    shutil.copytree(Path(module.__file__).parent, folder)
    monkeypatch.setattr(module, "_FOLDER", folder)
    return folder


def test_one_changed_byte_is_refused(copied: Path) -> None:
    path = copied / "fundusrt_cuda13.fatbin"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackendUnavailable, match="not the recorded one"):
        module.fat_binary()


@pytest.mark.parametrize("name", ["fundusrt_cuda13.fatbin", "fundusrt_cuda13.json"])
def test_a_missing_file_is_refused(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(BackendUnavailable, match=r"make kernels"):
        module.fat_binary()


def test_a_cuda_version_without_one_is_refused() -> None:
    with pytest.raises(BackendUnavailable, match=r"fundusrt_cuda11\.json"):
        module.fat_binary(11)


def test_any_change_of_any_source_changes_the_hash(copied: Path) -> None:
    before = module.source_sha256()
    for path in sorted(copied.glob("*.cu*")):
        original = path.read_bytes()
        path.write_bytes(original + b" ")
        assert module.source_sha256() != before, path.name
        path.write_bytes(original.replace(b"\n", b"\r\n"))  # a checkout with other line ends
        assert module.source_sha256() == before
        path.write_bytes(original)
    (copied / "another.cuh").touch()
    assert module.source_sha256() != before
