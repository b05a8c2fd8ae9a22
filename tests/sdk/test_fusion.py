"""Fusion against a per-pixel reference, and the promises the paper makes about added pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fundusrt import InvalidInput
from fundusrt.cgnr import cgnr
from fundusrt.fusion import fuse
from fundusrt.manifest import CgnrSpec, PostprocessSpec

ORDERS = ("cgnr_then_fuse", "fuse_then_cgnr", "cgnr_only")
# Both sides of each threshold used here, and its neighbours in float32.
EDGES = [0.0, 1.0, 0.5, float(np.nextafter(np.float32(0.5), np.float32(0.0))), 0.25, 0.75, 0.6, 0.4]


def spec(order: str = "cgnr_then_fuse", w_large: float = 0.3, threshold: float = 0.5, **cgnr: Any) -> PostprocessSpec:
    return PostprocessSpec(order=order, w_large=w_large, threshold=threshold, cgnr=CgnrSpec(**cgnr))  # type: ignore[arg-type]


def reference(p_large: np.ndarray, p_small: np.ndarray, post: PostprocessSpec) -> np.ndarray:
    """Pixel by pixel, one parallel CGNR pass, in float32 as the definition has it."""
    w, t = np.float32(post.w_large), np.float32(post.threshold)

    def blend(large: np.float32, small: np.float32) -> np.float32:
        return small + w * (large - small)

    height, width = p_small.shape
    mixed = post.order == "fuse_then_cgnr"
    base = np.array(
        [[blend(a, b) if mixed else b for a, b in zip(*r, strict=True)] for r in zip(p_large, p_small, strict=True)]
    )
    result = base.copy()
    for y in range(height):
        for x in range(width):
            near = base[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            if post.cgnr.enabled and base[y, x] < t and p_large[y, x] >= t and (near >= t).any():
                result[y, x] = p_large[y, x]
            if post.order == "cgnr_then_fuse":
                result[y, x] = blend(p_large[y, x], result[y, x])
    return result


@st.composite
def map_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(st.sampled_from([1, 2, 5, 9])), draw(st.sampled_from([1, 3, 7])))
    value = st.one_of(st.sampled_from(EDGES), st.floats(0.0, 1.0, width=32))
    both = draw(arrays(np.float32, (2, *shape), elements=value))
    return both[0], both[1]


@pytest.mark.parametrize("order", ORDERS)
@given(pair=map_pairs(), w=st.sampled_from([0.0, 0.3, 0.5, 1.0]), enabled=st.booleans(), t=st.sampled_from([0.5, 0.4]))
def test_equals_the_per_pixel_reference(order: str, pair: tuple[Any, Any], w: float, enabled: bool, t: float) -> None:
    post = spec(order, w, t, enabled=enabled)
    result = fuse(*pair, post)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, reference(*pair, post))


def test_bands_of_rows_do_not_show() -> None:
    """Blending works in bands of rows; more rows than one band holds must give the same."""
    rng = np.random.default_rng(5)
    p_large, p_small = rng.random((2, 700, 40), np.float32)
    for order in ORDERS:
        whole = fuse(p_large, p_small, spec(order, enabled=False))
        expected = p_small if order == "cgnr_only" else p_small + np.float32(0.3) * (p_large - p_small)
        np.testing.assert_array_equal(whole, expected)


@pytest.mark.parametrize("mode", ["parallel", "raster", "converge"])
@pytest.mark.parametrize("height", [1, 63, 64, 65, 128, 129, 300])
def test_refinement_does_not_see_the_bands(height: int, mode: Any) -> None:
    """A pixel switched on in one band is no neighbour for the next; the rows on either side of a border are."""
    rng = np.random.default_rng(height)
    p_large, p_small = rng.random((2, height, 40), np.float32)
    p_small *= np.float32(0.6)  # few pixels on, so that most switches hang on one neighbour
    post = PostprocessSpec(order="cgnr_only", cgnr=CgnrSpec(mode=mode))
    half = np.float32(0.5)
    base = p_small >= half
    switched = cgnr(base, p_large >= half, mode) ^ base
    assert height == 1 or switched.any()
    np.testing.assert_array_equal(fuse(p_large, p_small, post), np.where(switched, p_large, p_small))


@given(pair=map_pairs(), w=st.floats(0.0, 1.0), t=st.sampled_from([0.5, 0.4, 0.9]))
def test_switched_pixels_survive_every_weight(pair: tuple[Any, Any], w: float, t: float) -> None:
    """Spec A13: an added pixel has p_L >= t, and p_S' = p_L there, so every weight leaves it on, and at p_L exactly."""
    p_large, p_small = pair
    post = spec("cgnr_then_fuse", w, t)
    result = fuse(p_large, p_small, post)
    added = reference(p_large, p_small, spec("cgnr_only", w, t)) != p_small
    np.testing.assert_array_equal(result[added], p_large[added])
    assert (result[added] >= np.float32(t)).all()


@given(pair=map_pairs())
def test_weight_0_is_the_small_map_and_1_the_large_one(pair: tuple[Any, Any]) -> None:
    p_large, p_small = pair
    np.testing.assert_array_equal(fuse(p_large, p_small, spec(w_large=0.0, enabled=False)), p_small)
    # p_S + (p_L - p_S) rounds twice in float32, each time by half an ulp of a number below 1.
    np.testing.assert_allclose(fuse(p_large, p_small, spec(w_large=1.0, enabled=False)), p_large, rtol=0, atol=2.0**-24)


@pytest.mark.parametrize("order", ORDERS)
@given(pair=map_pairs(), w=st.floats(0.0, 1.0))
def test_result_is_a_new_map_in_the_unit_interval(order: str, pair: tuple[Any, Any], w: float) -> None:
    p_large, p_small = pair
    kept = p_large.copy(), p_small.copy()
    for enabled in (True, False):
        result = fuse(p_large, p_small, spec(order, w, enabled=enabled))
        assert result.min() >= 0.0
        assert result.max() <= 1.0
        assert not np.shares_memory(result, p_small)
        assert not np.shares_memory(result, p_large)
    np.testing.assert_array_equal(p_large, kept[0])
    np.testing.assert_array_equal(p_small, kept[1])


@given(pair=map_pairs(), w=st.floats(0.0, 1.0))
def test_equal_maps_stay_as_they_are(pair: tuple[Any, Any], w: float) -> None:
    for order in ORDERS:
        np.testing.assert_array_equal(fuse(pair[0], pair[0].copy(), spec(order, w)), pair[0])


def test_the_mode_of_cgnr_is_the_manifest_s() -> None:
    p_small, p_large = np.zeros((1, 9), np.float32), np.full((1, 9), 0.9, np.float32)
    p_small[0, 0] = 1.0
    on = {
        mode: int((fuse(p_large, p_small, spec(w_large=0.0, mode=mode)) >= 0.5).sum())
        for mode in ("parallel", "raster")
    }
    assert on == {"parallel": 2, "raster": 9}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("which", ["p_large", "p_small"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1.5, -0.1])
@pytest.mark.parametrize("beside", [0.0, 0.9])
def test_a_value_that_is_no_probability_is_refused(
    order: str, enabled: bool, which: str, bad: float, beside: float
) -> None:
    """Also where CGNR would have put a number from the other map in its place (`beside` on in both maps)."""
    maps = {name: np.full((3, 3), beside, np.float32) for name in ("p_large", "p_small")}
    maps[which][1, 1] = bad
    with pytest.raises(InvalidInput, match=f"probability map {which}: got values from .*; expected values in "):
        fuse(maps["p_large"], maps["p_small"], spec(order, enabled=enabled))


def test_shapes_must_agree() -> None:
    with pytest.raises(InvalidInput, match=r"probability maps: got \(2, 3\) and \(3, 2\); expected one shape"):
        fuse(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32), spec())
