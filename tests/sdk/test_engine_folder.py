"""The cache's folder: where it is, and when it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fundusrt import engine_folder
from fundusrt.engine_cache import EngineCache
from fundusrt.engine_folder import cache_secret, default_engine_folder, private_folder
from fundusrt.errors import BackendUnavailable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FUNDUSRT_CACHE", str(tmp_path))
    assert default_engine_folder() == tmp_path / "engines"
    monkeypatch.delenv("FUNDUSRT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_engine_folder() == tmp_path / "xdg" / "fundusrt" / "engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_engine_folder() == tmp_path / ".cache" / "fundusrt" / "engines"


@pytest.mark.parametrize("variable", ["FUNDUSRT_CACHE", "XDG_CACHE_HOME"])
def test_a_relative_path_is_that_of_the_folder_it_was_named_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.delenv("FUNDUSRT_CACHE", raising=False)
    monkeypatch.setenv(variable, "here")
    monkeypatch.chdir(tmp_path)
    cache = EngineCache()
    assert cache.folder.is_relative_to(tmp_path / "here")
    monkeypatch.chdir("/")
    assert (cache.folder / "key").is_file()


def test_a_user_without_a_home(homeless: None) -> None:
    with pytest.raises(BackendUnavailable) as caught:
        EngineCache()
    assert (caught.value.got, caught.value.fix) == ("a user without a home folder", "set FUNDUSRT_CACHE")


def test_made_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        folder = private_folder(tmp_path / "a" / "engines")
        secret = cache_secret(folder)
    finally:
        os.umask(old)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert len(secret) == 32
    assert cache_secret(folder) == secret
    assert cache_secret(private_folder(tmp_path / "b")) != secret


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o720, 0o777])
def test_open_to_others(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(BackendUnavailable, match=f"mode {mode:o}, open to others.*chmod 700 {folder}"):
        EngineCache(folder)
    assert list(folder.iterdir()) == []


def test_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "engines").symlink_to("real")
    with pytest.raises(BackendUnavailable, match="a symbolic link"):
        EngineCache(tmp_path / "engines")


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("")
    with pytest.raises(BackendUnavailable, match="no folder"):
        EngineCache(tmp_path / "engines")


def test_another_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = private_folder(tmp_path / "engines")
    monkeypatch.setattr(engine_folder.os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(BackendUnavailable, match=rf"owned by user {folder.stat().st_uid}; .*FUNDUSRT_CACHE"):
        EngineCache(folder)


def test_a_parent_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendUnavailable, match=r"--cache"):
        EngineCache(tmp_path / "file" / "engines")


def test_a_key_that_others_can_read(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines")
    (cache.folder / "key").chmod(0o644)
    with pytest.raises(BackendUnavailable, match=r"mode 644, open to others.*chmod 600"):
        EngineCache(cache.folder)


def test_a_key_that_is_a_link(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "engines")
    (tmp_path / "known").write_bytes(bytes(32))
    (folder / "key").symlink_to(tmp_path / "known")
    with pytest.raises(BackendUnavailable, match="a link or no file"):
        EngineCache(folder)


def test_a_short_key(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "engines")
    (folder / "key").write_bytes(b"short")
    (folder / "key").chmod(0o600)
    with pytest.raises(BackendUnavailable, match="got 5 bytes"):
        EngineCache(folder)


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    with pytest.raises(BackendUnavailable, match="a file system without file locks"):
        EngineCache(tmp_path / "engines")
