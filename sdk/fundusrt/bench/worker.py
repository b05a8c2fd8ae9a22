"""One fresh process of a benchmark: `python -m fundusrt.bench.worker REQUEST ANSWER STARTED_NS`.

It starts cold, measures its rounds, and checks its answers. An error of FundusRT goes into the answer's file; the exit
code is then 3. Heavy imports come after the cold start, which they would slow down.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fundusrt.bench.clock import Clock
    from fundusrt.bench.cold_start import Milestones
    from fundusrt.bench.report import ColdStart, Reading, Runtime, Snapshot
    from fundusrt.bench.request import WorkerAnswer, WorkerRequest
    from fundusrt.loading import AnyPipeline

__all__ = ["main", "measure_process"]

EXIT_REFUSED = 3


def main(arguments: list[str]) -> int:
    """Do what the request says; the last line of standard output after each round is its number."""
    from fundusrt.bench.cold_start import start_cold
    from fundusrt.errors import FundusRTError

    request_file, answer_file, started_ns = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    content: dict[str, Any] = json.loads(request_file.read_text(encoding="utf-8"))
    try:
        pipeline, reached = start_cold(started_ns, content["model"], content["options"], Path(content["images"][0]))
        from fundusrt.bench.clock import SystemClock
        from fundusrt.bench.request import WorkerRequest

        request = WorkerRequest.model_validate(content)
        with pipeline:
            answer = measure_process(request, pipeline, reached, SystemClock())
    except FundusRTError as error:
        answer_file.write_text(json.dumps({"error": error.to_dict()}), encoding="utf-8")
        return EXIT_REFUSED
    answer_file.write_text(answer.model_dump_json(), encoding="utf-8")
    return 0


def measure_process(request: WorkerRequest, pipeline: AnyPipeline, reached: Milestones, clock: Clock) -> WorkerAnswer:
    """Measure the rounds of a pipeline that has started, then check its answers.

    Args:
        request: what to do.
        pipeline: open; the caller closes it.
        reached: its cold start.
        clock: what the time is taken from.
    """
    from fundusrt.bench.answers import AnswerBook
    from fundusrt.bench.correctness import check_answers, check_golden, check_reference
    from fundusrt.bench.request import WorkerAnswer
    from fundusrt.bench.rounds import Plan, measure
    from fundusrt.bench.scopes import open_works
    from fundusrt.bench.sensors import Sensors
    from fundusrt.bundle import Bundle

    sensors, answers = Sensors(), AnswerBook()
    files = [Path(image) for image in request.images]
    works = open_works(pipeline, request.scopes, files, Path(request.folder), clock)
    snapshots: list[Snapshot] = [sensors.snapshot(f"process {request.process}, before")]
    plan = Plan(
        process=request.process,
        scenarios=request.scenarios,
        rounds=request.rounds,
        seconds=request.seconds,
        warm_up=request.warm_up,
        workers=request.workers,
    )

    def after_round(number: int) -> None:
        snapshots.append(sensors.snapshot(f"process {request.process}, round {number - 1}"))
        print(number, flush=True)

    samples = measure(works, len(files), plan, clock, answers, after_round)
    peak = _peak_memory()
    runtime = _runtime(pipeline, request)
    checks = [
        *check_golden(pipeline, Bundle.open(request.model), runtime.backend, runtime.precision),
        *check_answers(answers, [file.name for file in files]),
    ]
    if request.check_reference:
        of = (runtime.backend, runtime.device, runtime.precision)
        checks += check_reference(pipeline, request.model, files[0], answers, of)
    return WorkerAnswer(
        runtime=runtime,
        cold_start=_cold_start(request.process, reached),
        rounds=len({sample.round for sample in samples}),
        samples=tuple(samples),
        checks=tuple(checks),
        snapshots=tuple(snapshots),
        peak_memory_mib=peak,
    )


def _runtime(pipeline: AnyPipeline, request: WorkerRequest) -> Runtime:
    """Return what really runs, as the pipeline says it."""
    from fundusrt.bench.report import Runtime

    identity, asked = pipeline.identity, request.options
    tuning = identity.get("tuning")
    return Runtime(
        backend=identity["backend"],
        provider=", ".join(sorted({session.name for session in pipeline.sessions.values()})),
        device=identity["device"],
        precision=identity["precision"],
        threads=tuning.threads if tuning is not None else asked.get("threads"),
        batch=tuning.batch if tuning is not None else asked.get("batch"),
        tuned=None if tuning is None else tuning.measured,
    )


def _cold_start(process: int, reached: Milestones) -> ColdStart:
    from fundusrt.bench.report import ColdStart, Reading

    wall = reached.wall
    tile = wall.get("first_tile")
    return ColdStart(
        process=process,
        imported_ms=wall["imported"],
        loaded_ms=wall["loaded"],
        first_network_ms=reached.first_network,
        first_tile_ms=Reading(reason="its stages run on the GPU as one") if tile is None else Reading(value=tile),
        first_result_ms=wall["first_result"],
        cpu_ms=reached.cpu,
    )


def _peak_memory() -> Reading:
    """Return the most memory that this process has had, in MiB."""
    from fundusrt.bench.report import Reading

    try:
        import resource
    except ImportError:
        return Reading(reason="this system has no getrusage")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Reading(value=round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
