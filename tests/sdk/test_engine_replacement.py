"""An engine that is replaced while another process reads, writes or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fundusrt import atomic
from fundusrt.engine_cache import EngineCache
from fundusrt.engine_record import EngineRecord
from fundusrt.errors import EngineMismatch
from tests.sdk.engine_files import COMMAND, PLAN, build, identity

REPOSITORY = Path(__file__).resolve().parents[2]


def replace_after_each_record(monkeypatch: pytest.MonkeyPatch, cache: EngineCache, plans: list[bytes]) -> None:
    """After a record was read and before its plan is: another process builds the engine again, by force."""
    real = EngineRecord.is_sealed_by

    def then_replace(self: EngineRecord, secret: bytes) -> bool:
        if plans:
            cache.get_or_build(identity(), lambda: (plans.pop(0), {}), force=True)
        return real(self, secret)

    monkeypatch.setattr(EngineRecord, "is_sealed_by", then_replace)


def test_an_engine_replaced_between_the_two_reads_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EngineCache(tmp_path / "engines")
    cache.get_or_build(identity(), build)
    replace_after_each_record(monkeypatch, EngineCache(cache.folder), [b"ftrt new"])
    assert cache.load(identity(), fix=COMMAND).plan == b"ftrt new"


def test_a_plan_that_stays_away_is_refused(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines")
    cache.get_or_build(identity(), build).path.unlink()
    with pytest.raises(EngineMismatch, match="No such file"):
        cache.load(identity(), fix=COMMAND)


# Dies as soon as the plan, or the record, lies in its temporary file and has not taken the name.
KILLED = """
import os, signal, sys
from fundusrt import atomic
from fundusrt.engine_cache import EngineCache
from tests.sdk.engine_files import build, identity

def die(source, target):
    if str(target).endswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)

rename, cache = os.replace, EngineCache(sys.argv[1])
atomic.os.replace = die
cache.get_or_build(identity(), build)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("ending", [".plan", ".json"])
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "engines"
    path = os.pathsep.join([str(REPOSITORY / "sdk"), str(REPOSITORY)])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), ending], env={**os.environ, "PYTHONPATH": path}, timeout=600
    )
    assert killed.returncode == -signal.SIGKILL
    assert [each.suffix for each in folder.glob(".*")] == [ending]
    cache = EngineCache(folder)
    assert cache.get_or_build(identity(network="large"), build).built
    assert list(folder.glob(".*")) == []


def test_the_file_of_a_writer_that_lives_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines are stored at once: the second waits until the first has its name."""
    cache = EngineCache(tmp_path / "engines")
    second = threading.Thread(target=lambda: cache.get_or_build(identity(network="large"), build))
    rename = os.replace

    def start_the_second(source: Path, target: Path) -> None:
        if second.ident is None:
            second.start()
            second.join(0.5)
        rename(source, target)

    monkeypatch.setattr(atomic.os, "replace", start_the_second)
    assert cache.get_or_build(identity(), build).built
    second.join(600.0)
    assert {each.identity.network for each in cache.records()} == {"small", "large"}
    assert cache.load(identity(), fix=COMMAND).plan == PLAN
