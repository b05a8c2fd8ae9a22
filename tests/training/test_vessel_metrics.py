"""Vessel scores against counts by hand, and only inside the field of view."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fundusrt.errors import InvalidInput
from fundusrt_training.vessel_metrics import vessel_scores


def example(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    reference = random.random((20, 30)) < 0.3
    p = np.round(np.clip(random.normal(0.4 + 0.3 * reference, 0.2), 0, 1), 2).astype(np.float32)  # with ties
    return p, reference, random.random((20, 30)) < 0.8


def test_by_hand() -> None:
    p, reference, fov = example()
    found = vessel_scores(p, reference, fov, 0.6)
    yes, no = p[fov & reference].astype(float), p[fov & ~reference].astype(float)
    pairs = (yes[:, None] > no[None]).mean() + 0.5 * (yes[:, None] == no[None]).mean()
    assert found.auc == pytest.approx(pairs, abs=1e-6)
    marked = p >= np.float32(0.6)
    hits, misses = (marked & reference & fov).sum(), (~marked & reference & fov).sum()
    alarms = (marked & ~reference & fov).sum()
    assert found.accuracy == pytest.approx(1 - (misses + alarms) / fov.sum())
    assert found.iou == pytest.approx(hits / (hits + misses + alarms))
    assert found.dice == pytest.approx(2 * hits / (2 * hits + misses + alarms))


def test_what_lies_outside_does_not_count() -> None:
    p, reference, fov = example()
    changed, other = p.copy(), reference.copy()
    changed[~fov], other[~fov] = 1.0 - changed[~fov], ~other[~fov]
    assert vessel_scores(changed, other, fov) == vessel_scores(p, reference, fov)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p, r, f: (p.astype(np.float64), r, f), "got float64, bool, bool"),
        (lambda p, r, f: (p, r, f[:-1]), r"got \(20, 30\), \(20, 30\), \(19, 30\); expected one shape"),
        (lambda p, r, f: (p * 2, r, f), "expected values in"),
        (lambda p, r, f: (p * np.float32(np.nan), r, f), "got values from nan to nan"),
        (lambda p, r, f: (p, r & ~f, f), "got 0 vessel px of"),
        (lambda p, r, f: (p, r | f, f), "expected vessels and background"),
        (lambda p, r, f: (p, r, f & False), "got 0 vessel px of 0"),
    ],
)
def test_refused(change: Any, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        vessel_scores(*change(*example()))
