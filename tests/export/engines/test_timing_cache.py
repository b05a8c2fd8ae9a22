"""Kernel timings: kept for the next build, never given to TensorRT on trust, never worth a plan."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fundusrt.engine_cache import EngineCache
from fundusrt.sealed_file import SealedFile
from fundusrt.tensorrt_flavour import TensorRT, tensorrt_of
from fundusrt_export.engines.builder import build_engine
from tests.export.engines.fake_tensorrt import RELEASES, fake_tensorrt
from tests.export.engines.small_networks import ONE, network, spec


@pytest.fixture(params=RELEASES)
def tensorrt(request: pytest.FixtureRequest) -> TensorRT:
    return tensorrt_of(fake_tensorrt(request.param), "tensorrt")


@pytest.fixture
def file(tmp_path: Path) -> SealedFile:
    return EngineCache(tmp_path / "engines").sealed_file("timing-a.cache")


def timed(tensorrt: TensorRT, file: SealedFile, seed: int = 0) -> int:
    """Build, and return how many networks were timed for it."""
    tensorrt.module.timed.clear()
    assert build_engine(tensorrt, network(seed=seed), spec(), ONE, subject="net", timing_cache=file).plan[:4] == b"ftrt"
    return len(tensorrt.module.timed)


def test_timings_are_kept_for_the_next_build(tensorrt: TensorRT, file: SealedFile) -> None:
    assert [timed(tensorrt, file, seed) for seed in (0, 0, 1, 0, 1)] == [1, 0, 1, 0, 0]


def test_timings_of_another_release_or_of_no_use_are_taken_anew(tensorrt: TensorRT, file: SealedFile) -> None:
    timed(tensorrt, file)
    other = (file.read() or b"").replace(tensorrt.version.encode(), b"9.9.9")
    for unusable in (other, b"torn", b""):
        file.write(unusable)
        assert timed(tensorrt, file) == 1


def test_the_file_is_the_owner_s_alone(tensorrt: TensorRT, file: SealedFile) -> None:
    file.path.write_bytes(bytes(32))
    file.path.chmod(0o666)
    with pytest.warns(RuntimeWarning, match="did not write"):
        timed(tensorrt, file)
    assert file.path.stat().st_mode & 0o777 == 0o600


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def leave_unsealed(path: Path) -> None:
    path.write_bytes(path.read_bytes()[32:])


def become_a_link(path: Path) -> None:
    shutil.move(path, path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def come_from_another_name(path: Path) -> None:
    other = EngineCache(path.parent).sealed_file("timing-b.cache")
    other.write(b"{}")
    shutil.move(other.path, path)


def come_from_another_cache(path: Path) -> None:
    other = EngineCache(path.parent.parent / "other").sealed_file(path.name)
    other.write(b"{}")
    shutil.copy(other.path, path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (change, "did not write"),
        (cut, "did not write"),
        (leave_unsealed, "did not write"),
        (come_from_another_name, "did not write"),
        (come_from_another_cache, "did not write"),
        (become_a_link, "symbolic link"),
        (become_a_pipe, "no regular file"),
    ],
)
def test_tensorrt_never_sees_a_file_that_is_not_ours(
    file: SealedFile, damage: Callable[[Path], None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorrt = tensorrt_of(fake_tensorrt(RELEASES[-1]), "tensorrt")
    timed(tensorrt, file)
    damage(file.path)
    config = tensorrt.module.IBuilderConfig
    seen: list[bytes] = []
    with monkeypatch.context() as patch:
        real = config.create_timing_cache
        patch.setattr(config, "create_timing_cache", lambda self, content: seen.append(content) or real(self, content))
        with pytest.warns(RuntimeWarning, match=f"kernel timings are taken anew: .*{says}"):
            assert timed(tensorrt, file) == 1
    assert set(seen) == {b""}
    assert timed(tensorrt, file) == 0  # replaced by the build


def test_a_full_disk_costs_the_timings_and_not_the_plan(
    tensorrt: TensorRT, file: SealedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(RuntimeWarning, match=r"not kept for the next build: .*No space left on device.*free some space"):
        assert timed(tensorrt, file) == 1


def test_timings_that_tensorrt_does_not_give_cost_no_plan(
    tensorrt: TensorRT, file: SealedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt.module.ITimingCache, "serialize", lambda self: None)
    with pytest.warns(RuntimeWarning, match="not kept for the next build: "):
        assert timed(tensorrt, file) == 1
