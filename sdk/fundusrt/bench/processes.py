"""A benchmark run: several fresh processes one after the other, and one document made of what they found.

Fresh, because a process that is slow for where its memory lies is slow to its end: the difference between processes is
part of the noise, and each of them gives one cold start.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fundusrt import __version__, errors
from fundusrt.bench.correctness import judge
from fundusrt.bench.images import default_images, describe_images
from fundusrt.bench.report import (
    SCENARIOS,
    SCOPES,
    BenchReport,
    BundleIdentity,
    Environment,
    Protocol,
    Reading,
    Scenario,
    Scope,
)
from fundusrt.bench.request import WorkerAnswer, WorkerRequest
from fundusrt.bench.sensors import Sensors, describe_machine
from fundusrt.bench.stability import judge_stability
from fundusrt.bench.summary import stage_times, summarise
from fundusrt.bundle import Bundle
from fundusrt.errors import BackendUnavailable, FundusRTError
from fundusrt.loading import installed_versions

__all__ = ["BenchRequest", "assemble", "run_bench", "run_worker"]

Progress = Callable[[int, int], None]
"""Takes the number of the process, and that of the round which it has done."""

_SYNC = "a call is over when its answer is in the host's memory; GPU stages by events on their stream"


@dataclass(frozen=True)
class BenchRequest:
    """What to measure.

    Attributes:
        model: shipped name, bundle folder or `.frt` file.
        options: of `fundusrt.load`.
        images: files; empty for those of `default_images`.
        sample: the shipped sample.
        scopes: what is timed.
        scenarios: how.
        processes: how many fresh processes.
        rounds: of each process; None for as many as `seconds` allow, one at least.
        seconds: for the rounds of all processes.
        warm_up: rounds of each process that are not kept.
        workers: threads of the scenario `offline`.
    """

    model: str
    sample: Path
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    images: tuple[Path, ...] = ()
    scopes: tuple[Scope, ...] = SCOPES
    scenarios: tuple[Scenario, ...] = SCENARIOS
    processes: int = 3
    rounds: int | None = None
    seconds: float = 60.0
    warm_up: int = 1
    workers: int = 2


Launch = Callable[[WorkerRequest, Path, Callable[[int], None]], WorkerAnswer]


def run_bench(
    request: BenchRequest, progress: Progress = lambda _, __: None, launch: Launch | None = None
) -> BenchReport:
    """Measure, check, and return the document.

    Args:
        request: what to measure.
        progress: told after each round.
        launch: runs one process's work; None for a fresh process.

    Raises:
        BundleError: the bundle is refused.
        BackendUnavailable: this machine or bundle has no such backend, device or precision, or a process died.
        InvalidInput: an image or an option that cannot be used.
    """
    launch = launch or run_worker
    bundle = Bundle.open(request.model)
    answers: list[WorkerAnswer] = []
    with tempfile.TemporaryDirectory(prefix="fundusrt-bench-") as name:
        folder = Path(name)
        files = list(request.images) or default_images(bundle, request.sample, folder)
        images = describe_images(files)
        for process in range(request.processes):
            work = WorkerRequest(
                model=str(request.model),
                options=request.options,
                images=tuple(str(file.absolute()) for file in files),
                scopes=request.scopes,
                scenarios=request.scenarios,
                rounds=request.rounds,
                seconds=request.seconds / request.processes,
                warm_up=request.warm_up,
                workers=request.workers,
                process=process,
                check_reference=process == 0,
                folder=str(folder / "results"),
            )
            answers.append(launch(work, folder, lambda done, process=process: progress(process, done)))
    return assemble(request, bundle, images, answers)


def assemble(
    request: BenchRequest, bundle: Bundle, images: tuple[Any, ...], answers: list[WorkerAnswer]
) -> BenchReport:
    """Make the document of what the processes found."""
    machine = describe_machine()
    samples = tuple(sample for answer in answers for sample in answer.samples)
    runtime = answers[0].runtime
    manifest = bundle.manifest
    return BenchReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        fundusrt=__version__,
        bundle=BundleIdentity(
            name=manifest.name, version=manifest.version, sha256=bundle.sha256, system=manifest.system
        ),
        runtime=runtime,
        images=images,
        protocol=Protocol(
            processes=len(answers),
            rounds=tuple(answer.rounds for answer in answers),
            warm_up=request.warm_up,
            workers=request.workers,
            seconds=request.seconds if request.rounds is None else None,
            clock="time.perf_counter_ns",
            sync=_SYNC,
        ),
        environment=Environment(
            machine=machine,
            driver=Sensors().driver(),
            versions=installed_versions(),
            peak_memory_mib=_largest([answer.peak_memory_mib for answer in answers]),
            snapshots=tuple(snapshot for answer in answers for snapshot in answer.snapshots),
        ),
        cold_start=tuple(answer.cold_start for answer in answers),
        correctness=judge([check for answer in answers for check in answer.checks]),
        stability=judge_stability(samples, [answer.snapshots for answer in answers], machine),
        latency=summarise(samples),
        stages=stage_times(samples, manifest.system, runtime.device),
        samples=samples,
    )


def run_worker(request: WorkerRequest, folder: Path, after_round: Callable[[int], None]) -> WorkerAnswer:
    """Run one process's work in a fresh process.

    Raises:
        FundusRTError: what the process raised.
        BackendUnavailable: it ended without an answer, as a runtime that crashes does.
    """
    request_file, answer_file = folder / f"request-{request.process}.json", folder / f"answer-{request.process}.json"
    request_file.write_text(request.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "fundusrt.bench.worker", str(request_file), str(answer_file)]
    with (folder / f"errors-{request.process}.txt").open("w+", encoding="utf-8", errors="replace") as messages:
        command.append(str(time.monotonic_ns()))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages, text=True) as process:
            for line in process.stdout or ():
                if line.strip().isdigit():
                    after_round(int(line))
        code = process.returncode
        messages.seek(0)
        said = messages.read().strip().splitlines()[-1:]
    try:
        content: dict[str, Any] = json.loads(answer_file.read_text(encoding="utf-8"))
        if "error" in content:
            raise _error_of(content["error"])
        return WorkerAnswer.model_validate(content)
    except (OSError, json.JSONDecodeError, ValidationError) as error:
        raise BackendUnavailable(
            f"measuring process {request.process}",
            got=f"exit code {code} and no answer ({''.join(said) or 'it said nothing'})",
            expected="its samples",
            fix="run `fundusrt verify` with the same backend",
        ) from error


def _error_of(content: dict[str, Any]) -> FundusRTError:
    """Return the error that a process wrote down, as the kind it was."""
    kinds = {
        kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FundusRTError)
    }
    kind = kinds.get(content["code"], FundusRTError)
    return kind(content["subject"], got=content["got"], expected=content["expected"], fix=content["fix"])


def _largest(readings: list[Reading]) -> Reading:
    values = [reading.value for reading in readings if isinstance(reading.value, float)]
    return Reading(value=max(values)) if values else readings[0]
