"""Stages add up to the time of the whole, also where one runs inside another."""

from __future__ import annotations

import contextlib

import pytest

from fundusrt import stages
from fundusrt.stages import StageTimer


class Clock:
    """A clock that goes only when told to."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(stages.time, "perf_counter", made)
    return made


def test_a_stage_inside_another_is_taken_out_of_it(clock: Clock) -> None:
    timer = StageTimer()
    with timer.stage("fuse"):
        clock.s += 1.0
        for _ in range(2):
            with timer.stage("cgnr"):
                clock.s += 2.0
        clock.s += 4.0
    with timer.stage("lesions"):
        clock.s += 8.0
    assert timer.ms == pytest.approx({"cgnr": 4000.0, "fuse": 5000.0, "lesions": 8000.0})
    assert sum(timer.ms.values()) == pytest.approx(1000.0 * clock.s)


def test_three_deep(clock: Clock) -> None:
    timer = StageTimer()
    with timer.stage("a"), timer.stage("b"), timer.stage("c"):
        clock.s += 1.0
    assert timer.ms == pytest.approx({"c": 1000.0, "b": 0.0, "a": 0.0})


def test_a_stage_that_fails_is_counted(clock: Clock) -> None:
    timer = StageTimer()
    with contextlib.suppress(ZeroDivisionError), timer.stage("a"):
        clock.s += 1.0
        raise ZeroDivisionError
    assert timer.ms == pytest.approx({"a": 1000.0})
