"""The engine cache: built once, checked before use, refused with the command that helps."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fundusrt.engine_cache import EngineCache
from fundusrt.engine_identity import BatchRange, EngineOptions
from fundusrt.errors import EngineMismatch
from tests.sdk.engine_files import COMMAND, PLAN, REPORT, build, identity, never


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


@pytest.fixture
def stored(cache: EngineCache) -> EngineCache:
    assert cache.get_or_build(identity(), build).built
    return cache


def plan_file(cache: EngineCache) -> Path:
    (path,) = cache.folder.glob("*.plan")
    return path


def record_file(cache: EngineCache) -> Path:
    (path,) = cache.folder.glob("*.json")
    return path


def test_what_was_built_is_loaded(stored: EngineCache) -> None:
    loaded = stored.load(identity(), fix=COMMAND)
    assert (loaded.plan, loaded.record.report, loaded.built) == (PLAN, REPORT, False)
    assert loaded.record.identity == identity()
    again = stored.get_or_build(identity(), never)
    assert (again.plan, again.built, again.replaced) == (PLAN, False, None)
    assert EngineCache(stored.folder).load(identity(), fix=COMMAND).plan == PLAN  # another process


def test_force_builds_again_and_leaves_one_plan(stored: EngineCache) -> None:
    engine = stored.get_or_build(identity(), lambda: (b"ftrt new", {}), force=True)
    assert engine.built
    assert stored.load(identity(), fix=COMMAND).plan == b"ftrt new"
    assert plan_file(stored) == engine.path


def test_files_are_the_owner_s_alone(stored: EngineCache) -> None:
    for path in stored.folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_nothing_is_stored_when_the_build_fails(cache: EngineCache) -> None:
    with pytest.raises(AssertionError, match="built again"):
        cache.get_or_build(identity(), never)
    assert list(cache.folder.glob("*.plan")) == list(cache.folder.glob("*.json")) == []
    assert cache.get_or_build(identity(), build).built


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": "11.1.0"}, "version 10.9.0 instead of 11.1.0"),
        ({"gpu": "sm90 NVIDIA H200"}, "gpu sm89 NVIDIA L4 instead of sm90 NVIDIA H200"),
        ({"onnx_sha256": "3" * 64}, f"onnx_sha256 {'2' * 64} instead of {'3' * 64}"),
        ({"bundle_sha256": "3" * 64}, f"bundle_sha256 {'1' * 64} instead of {'3' * 64}"),
        ({"precision": "fp32"}, "precision fp16 instead of fp32"),
        ({"flavour": "tensorrt-rtx"}, "flavour tensorrt instead of tensorrt-rtx"),
        ({"system": "windows-amd64"}, "system linux-x86_64 instead of windows-amd64"),
        ({"batch": BatchRange(min=1, opt=1, max=1)}, "batch {'min': 1, 'opt': 4, 'max': 4} instead of"),
        ({"options": EngineOptions(tf32=True)}, "'tf32': False"),
    ],
)
def test_an_engine_for_something_else_is_refused(stored: EngineCache, change: dict[str, Any], says: str) -> None:
    with pytest.raises(EngineMismatch) as caught:
        stored.load(identity(**change), fix=COMMAND)
    assert caught.value.subject == "engine of leakage, network 'small'"
    assert says in str(caught.value.got)
    assert caught.value.fix == f"run `{COMMAND}`"
    assert identity(**change).key() != identity().key()


@pytest.mark.parametrize("version", ["10.8.0", "10.16.0", "11.1.0"])
def test_a_version_compatible_engine_is_for_its_own_version_too(cache: EngineCache, version: str) -> None:
    options = EngineOptions(version_compatible=True)
    cache.get_or_build(identity(options=options), build)
    assert cache.load(identity(options=options), fix=COMMAND).plan == PLAN
    with pytest.raises(EngineMismatch, match=rf"got an engine with version 10\.9\.0 instead of {version}; "):
        cache.load(identity(options=options, version=version), fix=COMMAND)


def test_no_engine_at_all(cache: EngineCache) -> None:
    with pytest.raises(EngineMismatch, match=r"got none; expected one for tensorrt 10\.9\.0 on sm89 NVIDIA L4, fp16"):
        cache.load(identity(), fix=COMMAND)


def test_of_several_the_nearest_is_named(stored: EngineCache) -> None:
    stored.get_or_build(identity(version="10.3.0", precision="int8"), build)
    with pytest.raises(EngineMismatch) as caught:
        stored.load(identity(version="11.1.0"), fix=COMMAND)
    assert caught.value.got == "an engine with version 10.9.0 instead of 11.1.0"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(bytes(content))


def flip_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(bytes(content))


def become_a_link(path: Path) -> None:
    shutil.move(path, path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "1021 bytes instead of 1028"),
        (lengthen, "more than 1028 bytes"),
        (flip, "content whose SHA-256 differs"),
        (flip_header, "a header of another file"),
        (Path.unlink, "No such file"),
        (become_a_link, "symbolic link"),
        (become_a_pipe, "no regular file"),
    ],
)
def test_a_damaged_plan_is_never_loaded(stored: EngineCache, damage: Callable[[Path], None], says: str) -> None:
    damage(plan_file(stored))
    with pytest.raises(EngineMismatch, match=says) as caught:
        stored.load(identity(), fix=COMMAND)
    assert caught.value.fix == f"run `{COMMAND}`"
    engine = stored.get_or_build(identity(), build)
    assert engine.built
    assert says in str(engine.replaced)
    assert stored.load(identity(), fix=COMMAND).plan == PLAN


def edited(path: Path, *place: str, value: object) -> None:
    content = json.loads(path.read_text())
    inner = content
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("identity", "version"), "11.1.0", "that this cache did not write"),
        (("plan_bytes",), 4, "that this cache did not write"),
        (("report", "parsed_layers"), 4, "that this cache did not write"),
        (("mac",), "0" * 64, "that this cache did not write"),
        (("format_version",), 2, "format_version"),
        (("plan_file",), "../../bin/sh", "plan_file"),
        (("more",), 1, "more"),
    ],
)
def test_an_edited_record_is_never_believed(
    stored: EngineCache, place: tuple[str, ...], value: object, says: str
) -> None:
    edited(record_file(stored), *place, value=value)
    with pytest.raises(EngineMismatch, match=says):
        stored.load(identity(), fix=COMMAND)
    assert stored.records() == []
    assert says in str(stored.get_or_build(identity(), build).replaced)


def test_a_record_of_another_cache_is_foreign(stored: EngineCache, tmp_path: Path) -> None:
    """Same plan, same identity, another key: whoever wrote it was not this cache."""
    other = EngineCache(tmp_path / "other")
    for path in (plan_file(stored), record_file(stored)):
        shutil.copy(path, other.folder)
    with pytest.raises(EngineMismatch, match="did not write"):
        other.load(identity(), fix=COMMAND)


def test_a_record_under_another_name_is_refused(stored: EngineCache) -> None:
    """An attacker who cannot forge a seal may still rename: an older version's engine for this one's."""
    wanted = identity(version="11.1.0")
    shutil.copy(record_file(stored), stored.folder / f"{wanted.key()}.json")
    with pytest.raises(EngineMismatch, match=r"version 10\.9\.0 instead of 11\.1\.0"):
        stored.load(wanted, fix=COMMAND)


def test_a_plan_without_a_record_does_not_exist(stored: EngineCache) -> None:
    """As after a crash between the two files."""
    record_file(stored).unlink()
    with pytest.raises(EngineMismatch, match="got none"):
        stored.load(identity(), fix=COMMAND)
    assert stored.get_or_build(identity(), build).built


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(stored: EngineCache, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for path in (plan_file(stored), record_file(stored)):
        path.unlink()
        path.symlink_to(victim)
    assert stored.get_or_build(identity(), build).built
    assert victim.read_text() == "precious"
    assert stored.load(identity(), fix=COMMAND).plan == PLAN
