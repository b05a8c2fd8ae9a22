"""The builder with the real TensorRT-RTX, on a machine that need not have a GPU."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fundusrt.engine_identity import BatchRange, EngineOptions
from fundusrt.errors import UsageError
from fundusrt.tensorrt_flavour import TensorRT, import_tensorrt
from fundusrt_export.engines.build_progress import Silent
from fundusrt_export.engines.builder import BuiltEngine, build_engine
from fundusrt_export.errors import BuildCancelled, EngineBuildError
from tests.export.engines.small_networks import ONE, network, spec

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")

REPOSITORY = Path(__file__).resolve().parents[3]
CAPABILITIES = ("sm75", "sm86", "sm89", "sm120")


@pytest.fixture(scope="module")
def rtx() -> TensorRT:
    return import_tensorrt("tensorrt-rtx")


def built(rtx: TensorRT, onnx: bytes | None = None, batch: BatchRange = ONE, **options: Any) -> BuiltEngine:
    options = {"capability": "sm86", **options}
    return build_engine(rtx, onnx or network(), spec(), batch, subject="net", **options)


def test_what_it_is(rtx: TensorRT) -> None:
    assert rtx.targets_capabilities
    assert set(CAPABILITIES) <= set(rtx.capabilities())
    assert "sm90" not in rtx.capabilities()


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_each_gpu_gets_a_plan_of_its_own(rtx: TensorRT, capability: str) -> None:
    engine = built(rtx, capability=capability)
    assert engine.plan[:4] == b"vtrt"
    report = engine.report
    assert report.plan_bytes == len(engine.plan)
    assert report.parsed_layers >= 2
    assert (report.activation_bytes or 0) > 0
    assert (report.weight_bytes or 0) >= 3 * 3 * 3 * 4
    assert sum(report.engine_layers.values()) >= 1
    other = built(rtx, capability="sm80")
    assert other.plan != engine.plan


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
@pytest.mark.parametrize("capability", ["sm75", "sm89"])
def test_precision_is_what_the_file_has(rtx: TensorRT, precision: str, capability: str) -> None:
    if (precision, capability) == ("bf16", "sm75"):
        with pytest.raises(EngineBuildError) as caught:
            built(rtx, network(precision), capability=capability)
        assert caught.value.got != ""
        return
    assert built(rtx, network(precision), capability=capability).report.plan_bytes > 1000


def test_the_kernels_are_named_in_the_plan(rtx: TensorRT) -> None:
    """An activation is fused with what comes before it, or is a kernel of its own: something is generated."""
    report = built(rtx).report
    assert sum(report.kernels.values()) == report.engine_layers.get("kgen", 0) > 0
    assert report.to_dict()["generated_kernels"] == sum(report.kernels.values())


def test_a_free_batch_costs_memory_for_the_largest(rtx: TensorRT) -> None:
    one = built(rtx).report.activation_bytes
    eight = built(rtx, batch=BatchRange(min=1, opt=8, max=8)).report.activation_bytes
    assert (eight or 0) > (one or 0) > 0


TWICE = """
import hashlib, sys
from tests.export.engines.test_builder_rtx import built
from fundusrt.tensorrt_flavour import import_tensorrt
print(hashlib.sha256(built(import_tensorrt("tensorrt-rtx")).plan).hexdigest())
"""


def test_a_fresh_process_gives_the_same_plan_twice() -> None:
    """A later build in the same process may differ in names that the compiler counts on."""
    hashes = set()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", TWICE], cwd=REPOSITORY, capture_output=True, text=True, check=True, env=environment()
        )
        hashes.add(done.stdout.split()[-1])
    assert len(hashes) == 1
    assert re.fullmatch(r"[0-9a-f]{64}", hashes.pop())


def environment() -> dict[str, str]:
    import os

    path = os.pathsep.join(str(REPOSITORY / name) for name in ("sdk", "training", "export", "."))
    return {**os.environ, "PYTHONPATH": path}


def test_another_network_gives_another_plan(rtx: TensorRT) -> None:
    plans = {hashlib.sha256(built(rtx, network(seed=seed)).plan).hexdigest() for seed in range(2)}
    assert len(plans) == 2


class Heard(Silent):
    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []

    def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
        self.events.append(("start", phase))

    def phase_finish(self, phase: str) -> None:
        self.events.append(("finish", phase))


def test_progress(rtx: TensorRT) -> None:
    heard = Heard()
    built(rtx, progress=heard)
    started = [phase for kind, *(phase,) in heard.events if kind == "start"]
    finished = [phase for kind, *(phase,) in heard.events if kind == "finish"]
    assert len(started) > 3
    assert sorted(started) == sorted(finished)


def test_cancelled(rtx: TensorRT) -> None:
    asked: list[int] = []
    with pytest.raises(BuildCancelled, match="net: got told to stop"):
        built(rtx, cancelled=lambda: bool(asked.append(1)) or len(asked) > 4)
    assert len(asked) >= 5
    assert built(rtx).report.plan_bytes > 1000


def test_ctrl_c(rtx: TensorRT) -> None:
    """The signal comes while the library builds, from one of its own calls back."""
    heard = threading.Event()

    def interrupt(number: int, frame: object) -> None:
        heard.set()
        raise KeyboardInterrupt

    class Interrupting(Silent):
        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                os.kill(os.getpid(), signal.SIGINT)
                assert heard.wait(600.0)
                time.sleep(0.2)  # the main thread is on its way out of the handler

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(BuildCancelled):
            built(rtx, progress=Interrupting())
    finally:
        signal.signal(signal.SIGINT, before)
    assert built(rtx).report.plan_bytes > 1000


def test_ctrl_c_while_the_build_is_handed_over(rtx: TensorRT, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **named: Any) -> Any:
            super().submit(*arguments, **named)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fundusrt_export.engines.builder.ThreadPoolExecutor", Interrupted)
        with pytest.raises(BuildCancelled, match="net: got told to stop"):
            built(rtx)
    assert built(rtx).report.plan_bytes > 1000


def test_broken_onnx(rtx: TensorRT) -> None:
    for broken in (b"garbage", network()[:200]):
        with pytest.raises(EngineBuildError, match="Failed to parse the ONNX model"):
            built(rtx, broken)


def test_an_unsupported_operator_is_named(rtx: TensorRT) -> None:
    with pytest.raises(EngineBuildError, match=r"net: got node 'last' \(MaxRoiPool\): .*; expected operators"):
        built(rtx, network(last="MaxRoiPool"))


def test_what_the_package_does_not_have_is_refused_by_name(rtx: TensorRT) -> None:
    with pytest.raises(UsageError, match=r"--version-compatible: got tensorrt-rtx .* which does not have it"):
        built(rtx, options=EngineOptions(version_compatible=True))
    with pytest.raises(UsageError, match=r"--hardware-compatibility: .*; name the GPUs with --gpu"):
        built(rtx, options=EngineOptions(hardware_compatibility="ampere-plus"))


def test_a_network_that_is_not_the_manifest_s_is_refused(rtx: TensorRT) -> None:
    wrong = spec().model_copy(update={"input": spec().input.model_copy(update={"shape": ("batch", 3, 64, 64)})})
    with pytest.raises(EngineBuildError, match=r"net, input: got image .* \(-1, 3, 32, 32\); expected image float32"):
        build_engine(rtx, network(), wrong, ONE, subject="net", capability="sm86")
