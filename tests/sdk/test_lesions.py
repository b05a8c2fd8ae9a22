"""The lesion table against a plain flood fill."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fundusrt.lesions import Lesion, find_lesions
from tests.tolerances import MEAN_PROBABILITY


def components(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """The 8-connected components, pixel by pixel."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        queue, part = [left.pop()], []
        while queue:
            y, x = queue.pop()
            part.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            queue.extend(near)
        found.append(part)
    return found


@given(
    levels=st.tuples(st.sampled_from([1, 2, 7, 12]), st.sampled_from([1, 3, 11])).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 99))
    ),
    density=st.sampled_from([0, 10, 40, 80, 100]),
)
def test_equals_a_flood_fill(levels: np.ndarray, density: int) -> None:
    mask = levels < density
    probability = (levels / 100.0).astype(np.float32)
    lesions = find_lesions(mask, probability, mm_per_px=0.5)
    assert find_lesions(mask, probability, 0.5, np.full(mask.size, np.nan, np.float32)) == lesions
    assert find_lesions(mask, probability, 0.5, np.empty(max(0, mask.size - 1), np.float32)) == lesions
    expected = components(mask)
    assert len(lesions) == len(expected)
    by_box = {}
    for part in expected:
        y, x = np.array(part).T
        box = (y.min(), x.min(), y.max() + 1, x.max() + 1)
        mean = probability[y, x].astype(np.float64).mean()
        by_box.setdefault((tuple(int(v) for v in box), len(part)), []).append((y.mean(), x.mean(), mean))
    for lesion in lesions:
        candidates = by_box[(lesion.bbox, lesion.area_px)]
        measured = (*lesion.centroid, lesion.mean_probability)
        match = min(candidates, key=lambda c: max(abs(a - b) for a, b in zip(c, measured, strict=True)))
        np.testing.assert_allclose(measured, match, rtol=0, atol=MEAN_PROBABILITY)
        assert lesion.area_mm2 == lesion.area_px * 0.25
    assert sum(lesion.area_px for lesion in lesions) == mask.sum()
    order = [(-lesion.area_px, lesion.bbox) for lesion in lesions]
    assert order == sorted(order)


def test_fields_of_one_lesion() -> None:
    mask = np.zeros((6, 9), bool)
    mask[2:4, 5:8] = True
    probability = np.full((6, 9), 0.25, np.float32)
    assert find_lesions(mask, probability) == [
        Lesion(area_px=6, area_mm2=None, bbox=(2, 5, 4, 8), centroid=(2.5, 6.0), mean_probability=0.25)
    ]


def test_touching_corners_are_one_lesion_and_a_gap_makes_two() -> None:
    probability = np.ones((4, 4), np.float32)
    assert len(find_lesions(np.eye(4, dtype=bool), probability)) == 1
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = mask[2, 2] = True
    assert [lesion.bbox for lesion in find_lesions(mask, probability)] == [(0, 0, 1, 1), (2, 2, 3, 3)]


@pytest.mark.parametrize("shape", [(3, 4), (1, 1)])
def test_an_empty_mask_has_no_lesions(shape: tuple[int, int]) -> None:
    assert find_lesions(np.zeros(shape, bool), np.ones(shape, np.float32)) == []


def test_a_full_mask_is_one_lesion() -> None:
    (lesion,) = find_lesions(np.ones((3, 4), bool), np.ones((3, 4), np.float32))
    assert (lesion.area_px, lesion.bbox, lesion.centroid) == (12, (0, 0, 3, 4), (1.0, 1.5))


def test_many_components() -> None:
    mask = np.zeros((500, 600), bool)
    mask[::2, ::2] = True
    lesions = find_lesions(mask, np.ones(mask.shape, np.float32))
    assert len(lesions) == 250 * 300
    assert lesions[0].bbox == (0, 0, 1, 1)
    assert lesions[-1].bbox == (498, 598, 499, 599)


def test_to_dict_holds_plain_values() -> None:
    (lesion,) = find_lesions(np.ones((1, 2), bool), np.ones((1, 2), np.float32), 0.1)
    content = lesion.to_dict()
    assert list(content) == ["area_px", "area_mm2", "bbox", "centroid", "mean_probability"]
    assert content["area_px"] == 2
    assert type(content["area_px"]) is int
    assert content["area_mm2"] == pytest.approx(0.02)
