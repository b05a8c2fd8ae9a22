"""Several processes, one cache."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fundusrt.engine_cache import EngineCache
from tests.sdk.engine_files import build, identity

REPOSITORY = Path(__file__).resolve().parents[2]
PROCESSES = 8
GUARD_S = 600  # against waiting for ever; nothing depends on it

# Waits for the starting signal, then asks for the engine; the builder is slow, and each build leaves a file.
WORKER = """
import sys, time, uuid
from pathlib import Path
from fundusrt.engine_cache import EngineCache
from tests.sdk.engine_files import PLAN, REPORT, identity
folder, builds = Path(sys.argv[1]), Path(sys.argv[2])

def slow():
    (builds / uuid.uuid4().hex).touch()
    time.sleep(float(sys.argv[3]))
    return PLAN, REPORT

print("ready", flush=True)
sys.stdin.readline()
engine = EngineCache(folder).get_or_build(identity(), slow)
assert engine.plan == PLAN
print("built" if engine.built else "found")
"""


def start(folder: Path, builds: Path, seconds: float) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(REPOSITORY / "sdk"), str(REPOSITORY)])
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(builds), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def go(worker: subprocess.Popen[str]) -> None:
    worker.stdin.write("go\n")
    worker.stdin.flush()


@pytest.fixture
def builds(tmp_path: Path) -> Path:
    folder = tmp_path / "builds"
    folder.mkdir()
    return folder


def test_eight_processes_that_start_together_build_once(tmp_path: Path, builds: Path) -> None:
    """Neither the folder nor its key exists when they start."""
    workers = [start(tmp_path / "engines", builds, 1.0) for _ in range(PROCESSES)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        go(worker)
    answers = [worker.communicate(timeout=GUARD_S)[0].strip() for worker in workers]
    assert sorted(answers) == ["built", *["found"] * (PROCESSES - 1)]
    assert len(list(builds.iterdir())) == 1
    assert [worker.returncode for worker in workers] == [0] * PROCESSES


def test_the_lock_of_a_killed_process_blocks_nobody(tmp_path: Path, builds: Path) -> None:
    folder = tmp_path / "engines"
    victim = start(folder, builds, 600.0)
    go(victim)
    while not list(builds.iterdir()):
        assert victim.poll() is None
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait(timeout=GUARD_S)
    victim.communicate()
    assert (folder / f"{identity().key()}.lock").exists()
    assert EngineCache(folder).get_or_build(identity(), build).built
