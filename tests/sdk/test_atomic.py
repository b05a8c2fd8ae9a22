import errno
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fundusrt.atomic import atomic_write, write_bytes, write_json
from fundusrt.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(old=st.none() | st.binary(max_size=100), new=st.binary(max_size=100))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_the_whole_content_takes_the_place_of_the_old(tmp_path, old, new):
    path = tmp_path / "mask.png"
    path.unlink(missing_ok=True)
    if old is not None:
        path.write_bytes(old)
    write_bytes(path, new)
    assert path.read_bytes() == new
    assert names(tmp_path) == ["mask.png"]


def test_nothing_is_seen_before_the_end(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(b"old")
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new, half")
        assert path.read_bytes() == b"old"
        assert temporary.parent == tmp_path  # a rename across disks would be a copy
        assert temporary.suffix == ".png"  # writers that choose the format by name
        assert temporary.name.startswith(".")
    assert path.read_bytes() == b"new, half"
    assert names(tmp_path) == ["mask.png"]


def test_the_block_may_replace_the_temporary_file(tmp_path):
    with atomic_write(str(tmp_path / "a.bin")) as temporary:
        other = temporary.with_suffix(".other")
        other.write_bytes(b"content")
        other.replace(temporary)
    assert (tmp_path / "a.bin").read_bytes() == b"content"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("fault", [ValueError("in the block"), KeyboardInterrupt(), SystemExit(3)])
def test_a_failing_block_leaves_everything_as_it_was(tmp_path, fault):
    path = tmp_path / "mask.png"
    path.write_bytes(b"old")

    def write_half():
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"half")
            raise fault

    with pytest.raises(type(fault)):
        write_half()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["mask.png"]


def fail_with(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "free some space or choose another disk"),
        (errno.EACCES, "choose a folder you may write to, or change its permissions"),
        (errno.EROFS, "choose a folder on a disk that is not read-only"),
        (errno.EIO, "check the path and the disk, then try again"),
    ],
)
def test_faults_of_the_disk_at_every_step(tmp_path, monkeypatch, step, number, fix):
    path = tmp_path / "mask.png"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail_with(number))
        with pytest.raises(OutputError) as caught:
            write_bytes(path, b"new")
    assert str(caught.value) == f"{path}: got {os.strerror(number)}; expected a file that can be written; {fix}"
    assert isinstance(caught.value.__cause__, OSError)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["mask.png"]


def test_a_disk_that_is_full_while_the_block_writes(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    path = tmp_path / "mask.png"
    path.write_bytes(b"old")

    def write_too_much():
        with atomic_write(path), Path("/dev/full").open("wb") as full:
            full.write(b"new")

    with pytest.raises(OutputError, match="No space left on device; expected a file that can be written; free some"):
        write_too_much()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["mask.png"]


def test_read_only_folder(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write to every folder")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(
            OutputError, match="Permission denied; expected a file that can be written; choose a folder"
        ):
            write_bytes(tmp_path / "mask.png", b"new")
    finally:
        tmp_path.chmod(0o700)


def test_missing_folder(tmp_path):
    path = tmp_path / "missing" / "mask.png"
    with pytest.raises(OutputError) as caught:
        write_bytes(path, b"new")
    assert str(caught.value) == (
        f"{path}: got No such file or directory; expected a file that can be written; create the folder first"
    )
    assert names(tmp_path) == []


def test_target_is_a_folder(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(
        OutputError, match="got Is a directory; expected a file that can be written; choose a file name"
    ):
        write_bytes(tmp_path / "out", b"new")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == []


def test_folder_of_the_target_is_a_file(tmp_path):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(OutputError, match="Not a directory; expected a file that can be written; create the folder"):
        write_bytes(tmp_path / "out" / "mask.png", b"new")


def test_name_that_is_too_long(tmp_path):
    with pytest.raises(OutputError, match="File name too long; expected a file that can be written; choose a shorter"):
        write_bytes(tmp_path / ("m" * 300), b"new")
    assert names(tmp_path) == []


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "mask.png").write_bytes(b"old")
    link = tmp_path / "mask.png"
    link.symlink_to(Path("real") / "mask.png")
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "mask.png").read_bytes() == b"new"
    assert names(tmp_path / "real") == ["mask.png"]
    dangling = tmp_path / "later.png"
    dangling.symlink_to(tmp_path / "real" / "later.png")
    write_bytes(dangling, b"new")
    assert (tmp_path / "real" / "later.png").read_bytes() == b"new"


def test_a_loop_of_links(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OutputError, match="a: got "):
        write_bytes(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a", "b"]


def test_permission_bits(tmp_path):
    fresh, kept = tmp_path / "fresh", tmp_path / "kept"
    kept.write_bytes(b"old")
    kept.chmod(0o640)
    before = os.umask(0o027)
    try:
        write_bytes(fresh, b"")
        write_bytes(kept, b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o640
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640


def test_file_and_folder_are_forced_to_the_disk_in_order(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        mode = os.fstat(descriptor).st_mode
        steps.append("folder" if stat.S_ISDIR(mode) else "file")
        fsync(descriptor)

    def note_replace(source, target):
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_bytes(tmp_path / "mask.png", b"new")
    assert steps == ["file", "replace", "folder"]


def test_inner_errors_keep_their_own_subject(tmp_path):
    with pytest.raises(OutputError) as caught, atomic_write(tmp_path / "outer.png"):
        write_bytes(tmp_path / "missing" / "inner.png", b"")
    assert caught.value.subject == str(tmp_path / "missing" / "inner.png")
    assert names(tmp_path) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_json_comes_back(tmp_path, obj):
    write_json(tmp_path / "result.json", obj)
    data = (tmp_path / "result.json").read_bytes()
    assert json.loads(data) == obj
    assert data.endswith(b"\n")


def test_json_is_readable_text_in_the_objects_order(tmp_path):
    write_json(tmp_path / "r.json", {"b": [1], "a": "\N{GREEK SMALL LETTER MU}m"})
    assert (tmp_path / "r.json").read_text("utf-8") == '{\n  "b": [\n    1\n  ],\n  "a": "\u03bcm"\n}\n'


@pytest.mark.parametrize("obj", [float("nan"), [float("inf")], {"a": object()}, b"bytes", {(1, 2): 3}, "\ud800"])
def test_json_that_cannot_be_written(tmp_path, obj):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(OutputError) as caught:
        write_json(path, obj)
    assert str(caught.value).startswith(f"{path}: got an object that JSON cannot hold (")
    assert str(caught.value).endswith(
        "expected dicts, lists, strings, finite numbers, booleans and None; convert the values first"
    )
    assert path.read_text() == "old"
    assert names(tmp_path) == ["result.json"]
