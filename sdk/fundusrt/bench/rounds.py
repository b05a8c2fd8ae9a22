"""The rounds of one process: every image through every scope and scenario.

They take turns, so that what disturbs the machine disturbs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fundusrt.bench.answers import AnswerBook
from fundusrt.bench.clock import Clock
from fundusrt.bench.report import Sample, Scenario
from fundusrt.bench.scopes import Done, NetworkStages, Work

__all__ = ["Plan", "measure"]


@dataclass(frozen=True)
class Plan:
    """How a process measures.

    Attributes:
        process: its number.
        scenarios: in this order.
        rounds: how many; None for as many as `seconds` allow, one at least.
        seconds: how long they may take; a round that has begun is finished.
        warm_up: rounds before them that are not kept.
        workers: threads of the scenario `offline`.
    """

    process: int
    scenarios: tuple[Scenario, ...]
    rounds: int | None
    seconds: float
    warm_up: int
    workers: int


def measure(
    works: Sequence[Work],
    images: int,
    plan: Plan,
    clock: Clock,
    answers: AnswerBook,
    after_round: Callable[[int], None] = lambda _: None,
) -> list[Sample]:
    """Return one sample of each timed call.

    Args:
        works: the scopes.
        images: their number; each is run in every round.
        plan: how often.
        clock: what the time is taken from.
        answers: takes the answer of every kept call, outside of its time.
        after_round: called with the number of rounds done.
    """
    with ThreadPoolExecutor(plan.workers, thread_name_prefix="bench") as pool:
        for _ in range(plan.warm_up):
            _one_round(works, images, plan, clock, AnswerBook(), pool, 0, 0)
        samples: list[Sample] = []
        begin, done = clock.wall_ns(), 0
        while done < (plan.rounds or 1) or (plan.rounds is None and clock.wall_ns() - begin < 1e9 * plan.seconds):
            samples += _one_round(works, images, plan, clock, answers, pool, begin, done)
            done += 1
            after_round(done)
    return samples


def _one_round(
    works: Sequence[Work],
    images: int,
    plan: Plan,
    clock: Clock,
    answers: AnswerBook,
    pool: ThreadPoolExecutor,
    begin: int,
    number: int,
) -> list[Sample]:
    samples: list[Sample] = []
    order = list(works) if number % 2 == 0 else list(reversed(works))  # none is always the one after the other
    for scenario in plan.scenarios:
        for work in order:
            timed = _Timed(work, scenario, plan.process, number, begin, clock)
            if scenario == "single_stream":
                samples += [timed.alone(image, answers) for image in range(images)]
            elif not isinstance(work, NetworkStages):  # lanes side by side: their times do not add up to a time
                # Twice as many as workers at least, or the last one's time alone would be a large part.
                queue = [*range(images)] * -(-2 * plan.workers // images)
                samples.append(timed.together(queue, pool, answers))
    return samples


@dataclass(frozen=True)
class _Timed:
    """Times calls of one work in one scenario and round."""

    work: Work
    scenario: Scenario
    process: int
    round: int
    begin: int
    clock: Clock

    def alone(self, image: int, answers: AnswerBook) -> Sample:
        cpu, start = self.clock.cpu_ns(), self.clock.wall_ns()
        done = self.work(image)
        sample = self._sample(cpu, start, image, 1, done)
        answers.note(self.work.scope, image, done.answer)
        return sample

    def together(self, queue: list[int], pool: ThreadPoolExecutor, answers: AnswerBook) -> Sample:
        cpu, start = self.clock.cpu_ns(), self.clock.wall_ns()
        done = list(pool.map(self.work, queue))
        sample = self._sample(cpu, start, None, len(queue), None)
        for image, each in zip(queue, done, strict=True):
            answers.note(self.work.scope, image, each.answer)
        return sample

    def _sample(self, cpu: int, start: int, image: int | None, images: int, done: Done | None) -> Sample:
        wall, cpu = self.clock.wall_ns() - start, self.clock.cpu_ns() - cpu
        return Sample(
            process=self.process,
            round=self.round,
            scope=self.work.scope,
            scenario=self.scenario,
            image=image,
            images=images,
            start_ms=max(0, start - self.begin) / 1e6,
            wall_ms=wall / 1e6 if done is None or done.own_ms is None else done.own_ms,
            cpu_ms=cpu / 1e6,
            stages_ms=None if done is None else done.stages_ms,
        )
