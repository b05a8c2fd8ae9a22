"""The rounds of one process: every image through every scope and scenario, in turn, so that what disturbs the machine
disturbs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fundusrt.bench.answers import AnswerBook
from fundusrt.bench.clock import Clock
from fundusrt.bench.report import Sample, Scenario
from fundusrt.bench.scopes import Done, Work

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
        while done < (plan.rounds or 1) or (
            plan.rounds is None and clock.wall_ns() - begin < 1e9 * plan.seconds
        ):
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
                for image in range(images):
                    sample, done = timed.call(lambda image=image: [work(image)], image, 1)
                    answers.note(work.scope, image, done[0].answer)
                    samples.append(sample)
            else:
                # Twice as many as workers at least, or the last one's time alone would be a large part.
                queue = [*range(images)] * -(-2 * plan.workers // images)
                sample, done = timed.call(lambda queue=queue: list(pool.map(work, queue)), None, len(queue))
                for image, each in zip(queue, done, strict=True):
                    answers.note(work.scope, image, each.answer)
                samples.append(sample)
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

    def call(self, calls: Callable[[], list[Done]], image: int | None, images: int) -> tuple[Sample, list[Done]]:
        cpu, start = self.clock.cpu_ns(), self.clock.wall_ns()
        done = calls()
        wall, cpu = self.clock.wall_ns() - start, self.clock.cpu_ns() - cpu
        own = [each.own_ms for each in done if each.own_ms is not None]
        sample = Sample(
            process=self.process,
            round=self.round,
            scope=self.work.scope,
            scenario=self.scenario,
            image=image,
            images=images,
            start_ms=max(0, start - self.begin) / 1e6,
            wall_ms=sum(own) if own else wall / 1e6,
            cpu_ms=cpu / 1e6,
            stages_ms=done[0].stages_ms if image is not None else None,
        )
        return sample, done
