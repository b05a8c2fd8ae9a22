"""A clock moved by hand, and a launcher that measures a real pipeline by it: no test waits for time to pass."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fundusrt.bench.cold_start import start_cold
from fundusrt.bench.observed_session import ObservedSession
from fundusrt.bench.request import WorkerAnswer, WorkerRequest
from fundusrt.bench.worker import measure_process


class HandClock:
    """Goes only when told to."""

    def __init__(self) -> None:
        self.ns = 0
        self._lock = threading.Lock()

    def advance(self, ms: float) -> None:
        with self._lock:
            self.ns += round(1e6 * ms)

    def wall_ns(self) -> int:
        return self.ns

    def cpu_ns(self) -> int:
        return self.ns


class SlowSession(ObservedSession):
    """A session whose every call moves the clock, and may answer something else."""

    def __init__(self, session: Any, delay: Callable[[], None], answer: Callable[[Any], Any] = lambda a: a) -> None:
        super().__init__(session, "", lambda _name, _feeds: delay())
        self._answer = answer

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._answer(values) for name, values in super().run(feeds).items()}


def launcher(
    ms: float, seed: int, answer: Callable[[Any], Any] = lambda a: a
) -> Callable[[WorkerRequest, Path, Callable[[int], None]], WorkerAnswer]:
    """Return what `run_bench` may launch: the worker's own code, in this process, by a clock moved by hand.

    Args:
        ms: what one network call takes, give or take 3 % and a drift.
        seed: of the noise.
        answer: what becomes of every network's answer.
    """
    noise = random.Random(seed)

    def launch(request: WorkerRequest, folder: Path, after_round: Callable[[int], None]) -> WorkerAnswer:
        del folder, after_round
        pipeline, reached = start_cold(time.monotonic_ns(), request.model, request.options, Path(request.images[0]))
        clock, drift = HandClock(), [0.0]

        def delay() -> None:
            drift[0] = 0.95 * drift[0] + noise.gauss(0.0, 0.003)
            clock.advance(ms * (1.0 + drift[0]) * max(0.5, noise.gauss(1.0, 0.03)))

        with pipeline:
            for name, session in dict(pipeline.sessions).items():
                pipeline.sessions[name] = SlowSession(session, delay, answer)
            return measure_process(request, pipeline, reached, clock)

    return launch
