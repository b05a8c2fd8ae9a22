"""R6: the definition is a third, independent way to the same masks, and the rung goes red where they differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from fundusrt import cgnr_definition, fusion
from fundusrt.cgnr_definition import cgnr_by_definition, cgnr_rung, fused_by_definition
from fundusrt.manifest import CgnrSpec, PostprocessSpec

RNG = np.random.default_rng(11)
LARGE = RNG.random((131, 67)).astype(np.float32)
SMALL = RNG.random((131, 67)).astype(np.float32) ** 3  # few pixels are on, so that single neighbours decide


def test_the_definition_is_dilation_under_the_guide() -> None:
    base, guide = SMALL > 0.8, LARGE > 0.4
    square = np.ones((3, 3), bool)
    grown = base | (guide & ndimage.binary_dilation(base, square))
    assert np.array_equal(cgnr_by_definition(base, guide, "parallel"), grown)
    whole = ndimage.binary_propagation(base, square, mask=base | guide)
    assert np.array_equal(cgnr_by_definition(base, guide, "converge"), whole)


@pytest.mark.parametrize("order", ["cgnr_then_fuse", "fuse_then_cgnr", "cgnr_only"])
@pytest.mark.parametrize("mode", ["parallel", "raster", "converge"])
def test_the_rung_holds(order: Any, mode: Any) -> None:
    spec = PostprocessSpec(order=order, cgnr=CgnrSpec(mode=mode))
    rung = cgnr_rung(LARGE, SMALL, spec, {"image": "hash"})
    assert [figure.value for figure in rung.measurements] == [0.0] * 4
    assert rung.holds
    assert np.array_equal(fusion.fuse(LARGE, SMALL, spec), fused_by_definition(LARGE, SMALL, spec))


def failing(spec: PostprocessSpec) -> list[str]:
    return [each.metric.partition(":")[0] for each in cgnr_rung(LARGE, SMALL, spec, {}).measurements if not each.holds]


def test_a_band_that_forgets_the_row_above(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fusion.cgnr
    first = {"rows": 0}

    def forgetful(base: Any, guide: Any, mode: Any) -> Any:
        base = base.copy()
        if first["rows"]:
            base[0] = False
        first["rows"] = 1
        return real(base, guide, mode)

    monkeypatch.setattr(fusion, "cgnr", forgetful)
    assert failing(PostprocessSpec()) == ["fused"]


@pytest.mark.parametrize("mode", ["parallel", "raster", "converge"])
def test_each_mode_is_measured(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cgnr_definition.cgnr

    def wrong(base: Any, guide: Any, asked: Any) -> Any:
        made = real(base, guide, asked)
        if asked == mode and made.shape[1] == 1:  # on the smallest of the generated masks alone
            made[0, 0] = ~made[0, 0]
        return made

    monkeypatch.setattr(cgnr_definition, "cgnr", wrong)
    assert failing(PostprocessSpec()) == [mode]
