"""Quantiles of known samples, their intervals, and what few samples cannot say."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fundusrt.bench.quantiles import quantiles


def test_of_one_to_a_hundred() -> None:
    found = {
        each.name: each for each in quantiles([[float(10 * ten + one + 1) for one in range(10)] for ten in range(10)])
    }
    assert {name: each.ms for name, each in found.items()} == pytest.approx(
        {"p50": 50.5, "p90": 90.1, "p95": 95.05, "p99": 99.01, "max": 100.0}
    )
    median = found["p50"]
    # none at all must fail too: as 100 and 0 it would hold the median between no numbers
    assert (median.low_ms or 100.0) < 50.5 < (median.high_ms or 0.0)


def test_few_samples_have_no_tail() -> None:
    found = {each.name: each for each in quantiles([[1.0, 2.0], [3.0, 4.0]])}
    assert found["p99"].low_ms is None
    assert found["p99"].reason == "p99 needs 100 samples, 4 were taken"
    assert found["max"].reason == "the largest of the samples says nothing of larger ones"
    assert found["p50"].reason is None
    assert quantiles([[1.0, 2.0]])[0].reason == "one round has no interval"


def test_the_interval_of_the_median_holds_the_truth() -> None:
    """19 of 20 times, of rounds that are slow or quick as a whole; drawing single samples would far less."""
    noise, held = random.Random(1), 0
    for _ in range(60):
        blocks = [
            [10.0 * float(np.exp(shift + noise.gauss(0.0, 0.01))) for _ in range(10)]
            for shift in (noise.gauss(0.0, 0.1) for _ in range(15))
        ]
        median = quantiles(blocks)[0]
        held += (median.low_ms or 0.0) <= 10.0 <= (median.high_ms or 0.0)
    assert held >= 52


def test_the_same_samples_give_the_same_interval() -> None:
    blocks = [[1.0, 2.0, 4.0], [3.0, 5.0, 9.0], [2.0, 2.5, 3.0]]
    assert quantiles(blocks) == quantiles(blocks)
