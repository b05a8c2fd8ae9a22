"""What the GPU check makes of its programs' exit codes, of missing packages, and of runtimes that refuse."""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_check import background, networks, packages
from benchmarks.gpu_check.background import GpuTests, Sanitizer
from benchmarks.gpu_check.report import Skipped


def ended(monkeypatch: pytest.MonkeyPatch, code: int | None, output: str) -> None:
    """Every program ends at once, with this."""

    class Ended:
        def finish(self) -> tuple[int | None, str]:
            return code, output

    monkeypatch.setattr(background, "_start", lambda command, limit_s: Ended())


@pytest.mark.parametrize(
    ("code", "output", "failed"),
    [
        (0, "12 passed, 2 skipped in 3 s", None),
        (0, "14 skipped in 1 s", "exit 0"),
        (1, "FAILED tests/gpu/test_stages.py::test_stage\n1 failed, 11 passed", "exit 1"),
        (None, "....", "stopped at its limit"),
    ],
)
def test_tests_count_only_where_some_passed(
    code: int | None, output: str, failed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(monkeypatch, code, output)
    figures = GpuTests(100.0).figures()
    assert figures.get("failed", [None])[0] == failed


@pytest.mark.parametrize(
    ("code", "output", "failed"),
    [
        (0, "stages: a, b\n========= ERROR SUMMARY: 0 errors", None),
        (9, "stages: a, b\n========= ERROR SUMMARY: 3 errors", "exit 9"),
        (0, "========= ERROR SUMMARY: 0 errors", "exit 0"),
        (None, "", "stopped at its limit"),
    ],
)
def test_the_sanitizer_counts_only_where_the_stages_ran(
    code: int | None, output: str, failed: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(monkeypatch, code, output)
    monkeypatch.setattr(background.shutil, "which", lambda name: sys.executable)
    figures = Sanitizer("memcheck", 100.0).figures()
    assert figures.get("failed", [None])[0] == failed


def test_where_the_sanitizer_does_not_work_it_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background.shutil, "which", lambda name: "/nowhere/compute-sanitizer")
    with pytest.raises(Skipped, match="not installed"):
        Sanitizer("memcheck", 100.0).figures()
    monkeypatch.setattr(background.shutil, "which", lambda name: sys.executable)
    ended(monkeypatch, 1, "========= Error: Device not supported")
    with pytest.raises(Skipped, match="refuses this device"):
        Sanitizer("memcheck", 100.0).figures()


def test_a_program_is_stopped_at_its_limit() -> None:
    run = background._start([sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"], 0.0)
    assert run.finish()[0] is None
    assert run.process.poll() == -signal.SIGKILL


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "NEEDED", ("numpy", "no_such_package"))
    with pytest.raises(SystemExit, match=r"missing here: no_such_package; name a folder of wheels with --packages"):
        packages.provide(None)
    if importlib.util.find_spec("pycuda") is None:
        with pytest.raises(SystemExit, match="neither a wheel that fits nor its source archive"):
            packages.provide(tmp_path)
    monkeypatch.setattr(packages, "NEEDED", ("numpy",))
    assert packages.provide(None) == {}


def test_wheels_of_another_python_or_machine_are_left() -> None:
    here = f"cp{sys.version_info.major}{sys.version_info.minor}"
    machine = packages.sysconfig.get_platform().rpartition("-")[2]
    assert packages._fits("rich-14.0-py3-none-any.whl")
    assert packages._fits(f"pycuda-2026.1-{here}-{here}-linux_{machine}.whl")
    assert not packages._fits(f"pycuda-2026.1-cp27-cp27-linux_{machine}.whl")
    assert not packages._fits(f"pycuda-2026.1-{here}-{here}-linux_other.whl")


class Runs:
    """Stands for an open runtime."""

    name = "second 1.0, batch 1"

    def __init__(self, device: Any, open_networks: Any, *, lanes: int) -> None:
        self.networks = open_networks(device)

    def close(self) -> None: ...


def test_the_first_runtime_that_runs_is_taken_and_the_others_reasons_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(device: Any) -> Any:
        raise ImportError("no\nsuch package")

    def found(device: Any) -> Any:
        return lambda gpu, bundle, batch: {"net": Runs(gpu, lambda _: {}, lanes=1)}

    def never(device: Any) -> Any:
        raise AssertionError("asked though a better one runs")

    monkeypatch.setattr(networks, "CudaRuntime", Runs)
    for name, opener in (("_tensorrt", absent), ("_onnxruntime", found), ("_torch", never)):
        monkeypatch.setattr(networks, name, opener)
    chosen = networks.choose(object(), object())  # type: ignore[arg-type]
    assert chosen.used == "second 1.0"
    assert chosen.refused == {"tensorrt": "ImportError: no such package"}
    for name in ("_onnxruntime", "_torch"):
        monkeypatch.setattr(networks, name, absent)
    with pytest.raises(RuntimeError, match="nothing runs networks here") as caught:
        networks.choose(object(), object())  # type: ignore[arg-type]
    assert all(name in str(caught.value) for name in ("tensorrt", "onnxruntime", "torch"))
