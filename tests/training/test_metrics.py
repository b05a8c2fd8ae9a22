"""Metrics against definitions, MONAI and worked examples."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from fundusrt.errors import InvalidInput
from fundusrt_training.metrics import border, dice, score, surface_distances, surface_distances_reference


def blobs(seed: int, height: int = 60, width: int = 80) -> np.ndarray:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for _ in range(random.integers(1, 5)):
        mask |= (y - random.uniform(0, height)) ** 2 + (x - random.uniform(0, width)) ** 2 < random.uniform(1, 14) ** 2
    mask[random.integers(height), random.integers(width)] = True
    return mask


def test_worked_example() -> None:
    a, b = np.zeros((8, 10), bool), np.zeros((8, 10), bool)
    a[2, 2] = a[2, 3] = True
    b[2, 3] = b[2, 7] = True
    # borders are the pixels; a -> b: 1, 0; b -> a: 0, 4; pooled 0 0 1 4, 95th percentile 1 + 0.85 * 3
    ours = score(a, b, spacing=2.0)
    assert ours.dice == 0.5
    assert (ours.precision, ours.recall) == (0.5, 0.5)
    assert ours.hd95 == pytest.approx(2 * (1 + 0.85 * 3))
    assert ours.asd == pytest.approx(2 * 0.5)
    monai = score(a, b, convention="monai")
    assert monai.hd95 == pytest.approx(0.95 * 4)
    assert monai.asd == pytest.approx(0.5)


@given(seed=st.integers(0, 10_000))
def test_border_is_the_mask_minus_its_erosion(seed: int) -> None:
    mask = blobs(seed, 20, 30)
    assert np.array_equal(border(mask), mask & ~binary_erosion(mask))


@given(seed=st.integers(0, 10_000))
def test_fast_distances_equal_the_definition(seed: int) -> None:
    a, b = blobs(seed), blobs(seed + 1)
    for ours, reference in zip(surface_distances(a, b), surface_distances_reference(a, b), strict=True):
        # both are square roots of sums of squares of integers: one rounding
        np.testing.assert_allclose(ours, reference, rtol=2.0**-51, atol=0)


@given(seed=st.integers(0, 10_000), top=st.integers(0, 40), left=st.integers(0, 40))
def test_distances_do_not_depend_on_the_empty_surroundings(seed: int, top: int, left: int) -> None:
    a, b = (np.pad(blobs(seed + i), 2) for i in range(2))
    a2, b2 = (np.pad(mask, ((top, 5), (left, 9))) for mask in (a, b))
    assert score(a, b) == score(a2, b2)


@pytest.mark.parametrize("seed", range(5))
def test_monai_convention_is_monais(seed: int) -> None:
    import torch
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_distance import compute_average_surface_distance

    a, b = np.pad(blobs(seed), 2), np.pad(blobs(seed + 50), 2)
    ours = score(a, b, convention="monai")
    ta, tb = (torch.from_numpy(m)[None, None].float() for m in (a, b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hd95 = compute_hausdorff_distance(ta, tb, include_background=True, percentile=95).item()
        asd = compute_average_surface_distance(ta, tb, include_background=True).item()
    assert ours.hd95 == pytest.approx(hd95, rel=1e-6)  # MONAI keeps distances in float32
    assert ours.asd == pytest.approx(asd, rel=1e-6)


@given(seed=st.integers(0, 10_000))
def test_dice_is_its_formula_and_symmetric(seed: int) -> None:
    a, b = blobs(seed), blobs(seed + 7)
    tp, fp, fn = (a & b).sum(), (a & ~b).sum(), (~a & b).sum()
    assert dice(a, b) == pytest.approx(2 * tp / (2 * tp + fp + fn), rel=1e-15)
    assert dice(a, b) == dice(b, a) == score(a, b).dice
    assert score(a, a) == score(a, a.copy())
    assert (score(a, a).dice, score(a, a).hd95, score(a, a).asd) == (1.0, 0.0, 0.0)


def test_empty_masks() -> None:
    none, some = np.zeros((30, 40), bool), blobs(1, 30, 40)
    both = score(none, none)
    assert (both.dice, both.hd95, both.asd, both.one_empty) == (1.0, 0.0, 0.0, False)
    for a, b in ((none, some), (some, none)):
        one = score(a, b, spacing=0.5)
        assert (one.dice, one.hd95, one.asd, one.one_empty) == (0.0, 25.0, 25.0, True)
    assert score(none, some).recall == 0.0
    assert score(some, none).precision == 0.0
    assert math.isclose(dice(none, none), 1.0)


def test_bad_masks_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"masks: got \(3, 4\) and \(4, 4\); expected one shape"):
        score(np.zeros((3, 4), bool), np.zeros((4, 4), bool))
    with pytest.raises(InvalidInput, match=r"reference: got shape \(3, 4\), uint8; expected \(H, W\) bool"):
        dice(np.zeros((3, 4), bool), np.zeros((3, 4), np.uint8))  # pyright: ignore
