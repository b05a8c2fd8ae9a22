"""Pooled metrics against counts by hand, torchmetrics and one big image."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_precision_recall_curve
from torchmetrics.utilities.compute import auc

from fundusrt.errors import InvalidInput
from fundusrt_training.pooled_metrics import PooledMetrics, pooled_figures


def draw(seed: int, size: tuple[int, int] = (20, 30), levels: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities on a grid that is exact in 2^-16, and a reference they say something about."""
    random = np.random.default_rng(seed)
    p = random.integers(0, levels + 1, size) / levels
    return p.astype(np.float32), random.random(size) < 0.1 + 0.6 * p**2


def test_decisions_are_pooled_over_pixels_not_averaged_over_images() -> None:
    pool = PooledMetrics()
    pool.add_mask(np.array([[True, True, False]]), np.array([[True, False, True]]))
    pool.add_mask(np.array([[True, True, True, True]]), np.array([[True, True, True, False]]))
    scores = pool.scores()  # TP 4, FP 2, FN 1
    assert scores.dice == pytest.approx(8 / 11)
    assert scores.iou == pytest.approx(4 / 7)
    assert scores.precision == pytest.approx(4 / 6)
    assert scores.recall == pytest.approx(4 / 5)


@pytest.mark.parametrize("seed", range(5))
def test_pr_auc_is_that_of_torchmetrics(seed: int) -> None:
    p, reference = draw(seed)
    pool = PooledMetrics()
    pool.add_probability(p, reference)
    precision, recall, _ = binary_precision_recall_curve(
        torch.from_numpy(p).flatten(), torch.from_numpy(reference).flatten().long()
    )
    expected = float(auc(recall, precision, reorder=False))
    assert pool.scores().pr_auc == pytest.approx(abs(expected), abs=1e-6)  # torchmetrics counts in float32


def test_many_images_are_one_pool() -> None:
    parts = [draw(seed, (7, 5 + seed)) for seed in range(4)]
    pool, whole = PooledMetrics(), PooledMetrics()
    for p, reference in parts:
        pool.add_probability(p, reference)
        pool.add_mask(p >= 0.5, reference)
    p, reference = (np.concatenate([part[i].ravel() for part in parts])[None] for i in (0, 1))
    whole.add_probability(p, reference)
    whole.add_mask(p >= 0.5, reference)
    assert pool.scores() == whole.scores()


def test_selections_of_images_are_pools_of_their_own() -> None:
    parts = [draw(seed, (7, 5 + seed)) for seed in range(4)]
    parts.append((parts[0][0], np.zeros((7, 5), bool)))  # nothing to find
    images: list[PooledMetrics] = []
    for p, reference in parts:
        images.append(PooledMetrics())
        images[-1].add_probability(p, reference)
        images[-1].add_mask(p >= 0.5, reference)
    picks = np.random.default_rng(0).integers(0, 5, (120, 5))
    picks[0] = 4
    figures = pooled_figures(images, picks)
    for selection, row in enumerate(picks):
        pool = PooledMetrics()
        for image in row:
            p, reference = parts[image]
            pool.add_probability(p, reference)
            pool.add_mask(p >= 0.5, reference)
        for name, value in dataclasses.asdict(pool.scores()).items():
            assert figures[name][selection] == pytest.approx(value, abs=1e-12), name
    assert figures["pr_auc"][0] == 0.0


def test_pr_auc_of_sure_answers() -> None:
    right, wrong = PooledMetrics(), PooledMetrics()
    reference = np.array([[True, False, False, False]])
    right.add_probability(reference.astype(np.float32), reference)
    wrong.add_probability((~reference).astype(np.float32), reference)
    assert right.scores().pr_auc == 1.0
    assert wrong.scores().pr_auc == pytest.approx(0.125)  # from (0, 0) to (1, 1/4)


def test_nothing_to_find() -> None:
    empty, pool = np.zeros((3, 3), bool), PooledMetrics()
    pool.add_mask(empty, empty)
    pool.add_probability(np.zeros((3, 3), np.float32), empty)
    scores = pool.scores()
    assert (scores.dice, scores.iou, scores.precision, scores.recall, scores.pr_auc) == (1.0, 1.0, 1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("p", "reference", "text"),
    [
        (np.zeros((2, 2), np.float32), np.zeros((2, 3), bool), r"got \(2, 2\) float32 and \(2, 3\) bool"),
        (np.zeros((2, 2)), np.zeros((2, 2), bool), "float64"),
        (np.full((2, 2), 1.5, np.float32), np.zeros((2, 2), bool), "got values from 1.5 to 1.5"),
        (np.full((2, 2), np.nan, np.float32), np.zeros((2, 2), bool), "got values from nan to nan"),
    ],
)
def test_refused(p: Any, reference: Any, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        PooledMetrics().add_probability(p, reference)
    with pytest.raises(InvalidInput):
        PooledMetrics().add_mask(p, reference)
