"""CGNR against the golden example, plain loops, and its own identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import fundusrt
from fundusrt import InvalidInput, cgnr

MODES = ("parallel", "raster", "converge")


def rows(text: str) -> np.ndarray:
    return np.array([[digit == "1" for digit in row] for row in text.split("/")])


BASE = rows("00000/01000/00000/00000/00001")
GUIDE = rows("10000/00110/00001/00000/10000")
GOLDEN = {
    "parallel": rows("10000/01100/00000/00000/00001"),
    "raster": rows("10000/01110/00001/00000/00001"),
    "converge": rows("10000/01110/00001/00000/00001"),
}


def _has_neighbour(mask: np.ndarray, y: int, x: int) -> bool:
    height, width = mask.shape
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            inside = 0 <= y + dy < height and 0 <= x + dx < width
            if (dy or dx) and inside and mask[y + dy, x + dx]:
                return True
    return False


def loop(base: np.ndarray, guide: np.ndarray, mode: str) -> np.ndarray:
    """The rule as the paper words it, pixel by pixel."""
    result = base.copy()
    seen = result if mode == "raster" else base
    for y in range(base.shape[0]):
        for x in range(base.shape[1]):
            if not seen[y, x] and guide[y, x] and _has_neighbour(seen, y, x):
                result[y, x] = True
    if mode == "converge" and not np.array_equal(result, base):
        return loop(result, guide, mode)
    return result


SIZES = st.sampled_from([1, 2, 3, 5, 8, 13, 17])


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of one size, of any density: sparse base masks and dense guides make long growth."""
    shape = (draw(SIZES), draw(SIZES))
    levels = draw(arrays(np.uint8, (2, *shape), elements=st.integers(0, 99)))
    base = levels[0] < draw(st.sampled_from([0, 3, 10, 40, 90, 100]))
    guide = levels[1] < draw(st.sampled_from([0, 10, 50, 80, 100]))
    return base, guide


@pytest.mark.parametrize("mode", MODES)
def test_golden_5x5(mode: Any) -> None:
    np.testing.assert_array_equal(cgnr(BASE, GUIDE, mode), GOLDEN[mode])


def test_parallel_is_the_default() -> None:
    np.testing.assert_array_equal(fundusrt.cgnr(BASE, GUIDE), GOLDEN["parallel"])


@pytest.mark.parametrize("mode", MODES)
@given(pair=mask_pairs())
def test_equals_the_plain_loop(mode: Any, pair: tuple[np.ndarray, np.ndarray]) -> None:
    base, guide = pair
    np.testing.assert_array_equal(cgnr(base, guide, mode), loop(base, guide, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 97), (101, 1), (61, 67), (64, 128)])
@pytest.mark.parametrize("density", [0.02, 0.4])
def test_equals_the_plain_loop_on_larger_masks(mode: Any, shape: tuple[int, int], density: float) -> None:
    rng = np.random.default_rng(shape[0] * 1000 + shape[1])
    base, guide = rng.random(shape) < density, rng.random(shape) < 0.5
    np.testing.assert_array_equal(cgnr(base, guide, mode), loop(base, guide, mode))


def test_the_modes_differ_where_growth_runs_up_or_left() -> None:
    base, guide = np.zeros((3, 7), bool), np.ones((3, 7), bool)
    base[2, 6] = True
    on = {mode: int(cgnr(base, guide, mode).sum()) for mode in ("parallel", "raster", "converge")}
    # raster: the scan switches on (1, 5), (1, 6) from below; then (2, 0..5) cannot, but (2, 4), (2, 5) can.
    assert on == {"parallel": 4, "raster": int(loop(base, guide, "raster").sum()), "converge": 21}
    assert on["parallel"] < on["raster"] < on["converge"]


@pytest.mark.parametrize("mode", MODES)
@given(pair=mask_pairs())
def test_bool_and_bytes_give_the_same(mode: Any, pair: tuple[np.ndarray, np.ndarray]) -> None:
    base, guide = pair
    as_bool = cgnr(base, guide, mode)
    as_bytes = cgnr(base.astype(np.uint8) * np.uint8(255), guide.astype(np.uint8) * np.uint8(255), mode)
    assert as_bool.dtype == np.bool_
    assert as_bytes.dtype == np.uint8
    np.testing.assert_array_equal(as_bytes, as_bool.astype(np.uint8) * 255)


@pytest.mark.parametrize("mode", MODES)
@given(pair=mask_pairs())
def test_result_holds_the_base_and_stays_within_both(mode: Any, pair: tuple[np.ndarray, np.ndarray]) -> None:
    base, guide = pair
    result = cgnr(base, guide, mode)
    assert not (base & ~result).any()
    assert not (result & ~(base | guide)).any()


@given(pair=mask_pairs())
def test_the_modes_are_nested_and_converge_is_a_fixed_point(pair: tuple[np.ndarray, np.ndarray]) -> None:
    base, guide = pair
    parallel, raster, converge = (cgnr(base, guide, mode) for mode in MODES)
    assert not (parallel & ~raster).any()
    assert not (raster & ~converge).any()
    for mode in MODES:
        np.testing.assert_array_equal(cgnr(converge, guide, mode), converge)


@given(pair=mask_pairs())
def test_parallel_is_the_max_pool_form(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """B' = max(B, G * maxpool3x3(B)), the form that networks export."""
    base, guide = pair
    height, width = base.shape
    padded = np.pad(base, 1)
    pooled = np.max([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)
    np.testing.assert_array_equal(cgnr(base, guide), np.maximum(base, guide * pooled))


@given(pair=mask_pairs())
def test_parallel_and_converge_do_not_depend_on_orientation(pair: tuple[np.ndarray, np.ndarray]) -> None:
    base, guide = pair
    for mode in ("parallel", "converge"):
        turned = cgnr(np.ascontiguousarray(base[::-1, ::-1].T), np.ascontiguousarray(guide[::-1, ::-1].T), mode)
        np.testing.assert_array_equal(turned.T[::-1, ::-1], cgnr(base, guide, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8])
def test_inputs_stay_and_the_result_is_new(mode: Any, dtype: Any) -> None:
    base = BASE.astype(dtype) * dtype(1 if dtype is np.bool_ else 255)
    guide = GUIDE.astype(dtype) * dtype(1 if dtype is np.bool_ else 255)
    kept = base.copy(), guide.copy()
    base.flags.writeable = guide.flags.writeable = False
    result = cgnr(base, guide, mode)
    assert not np.shares_memory(result, base)
    assert not np.shares_memory(result, guide)
    assert result.flags.writeable
    np.testing.assert_array_equal(base, kept[0])
    np.testing.assert_array_equal(guide, kept[1])


@pytest.mark.parametrize("mode", MODES)
def test_strided_views_are_taken(mode: Any) -> None:
    rng = np.random.default_rng(3)
    base, guide = rng.random((40, 62)) < 0.1, rng.random((40, 62)) < 0.6
    expected = cgnr(base[::2, 1::3].copy(), guide[::2, 1::3].copy(), mode)
    np.testing.assert_array_equal(cgnr(base[::2, 1::3], guide[::2, 1::3], mode), expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (4, 0)])
def test_empty_masks(mode: Any, shape: tuple[int, int]) -> None:
    assert cgnr(np.zeros(shape, bool), np.zeros(shape, bool), mode).shape == shape


@pytest.mark.parametrize(
    ("base", "guide", "mode", "message"),
    [
        (BASE, GUIDE[:4], "parallel", r"guide mask: got \(4, 5\) bool; expected \(5, 5\) bool like the base mask"),
        (BASE, GUIDE.astype(np.uint8) * 255, "parallel", r"guide mask: got \(5, 5\) uint8; expected \(5, 5\) bool"),
        (
            BASE.astype(np.uint8),
            GUIDE,
            "parallel",
            "base mask: got value 1; expected only 0 and 255; threshold it first",
        ),
        (np.full((2, 2), 254, np.uint8), GUIDE, "parallel", "base mask: got value 254; expected only 0 and 255"),
        (BASE.astype(np.float32), GUIDE, "parallel", "base mask: got float32; expected bool, or uint8"),
        (BASE.astype(np.int64), GUIDE, "parallel", "base mask: got int64; expected bool, or uint8"),
        (BASE[0], GUIDE[0], "parallel", r"base mask: got shape \(5,\); expected \(H, W\)"),
        (BASE[None], GUIDE[None], "parallel", r"base mask: got shape \(1, 5, 5\); expected \(H, W\)"),
        (BASE.tolist(), GUIDE, "parallel", "base mask: got list; expected a NumPy array"),
        (BASE, None, "parallel", "guide mask: got NoneType; expected a NumPy array"),
        (BASE, GUIDE, "serial", "cgnr mode: got 'serial'; expected 'parallel', 'raster' or 'converge'"),
    ],
)
def test_refusals(base: Any, guide: Any, mode: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        cgnr(base, guide, mode)
