"""Each network reduced once for all tests that look at the result."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from fundusrt_export.precision import DiceJudge, PrecisionResult, ReducedPrecision, to_precision
from tests.export.precision.small_network import segmenter, tiles

Reduce = Callable[..., PrecisionResult]


@pytest.fixture(scope="session")
def reduce() -> Reduce:
    """`reduce(precision, limit=..., outlier=..., gain=...)`: `to_precision` of a small network, remembered."""

    @cache
    def remembered(
        precision: ReducedPrecision, *, limit: float, outlier: float = 1.0, gain: float = 1.0
    ) -> PrecisionResult:
        network = segmenter(outlier=outlier, gain=gain)
        judge = DiceJudge(network, tiles(6, seed=5), threshold=0.5, limit=limit, threads=1)
        return to_precision(network, precision, tiles(16), task="segmentation", judge=judge, threads=1)

    return remembered
