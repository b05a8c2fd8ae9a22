"""Compare named arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["assert_maps_close"]

Array = npt.NDArray[Any]


def assert_maps_close(actual: Mapping[str, Array], expected: Mapping[str, Array], *, max_abs: float = 0.0) -> None:
    """Compare named arrays and report every difference at once.

    Args:
        actual: arrays by name.
        expected: arrays by name.
        max_abs: largest allowed absolute difference of one element; 0 for equal.

    Raises:
        AssertionError: a name is missing or too many, or an array differs in shape, dtype or value. NaN and infinity
            always differ, even from themselves.
    """
    problems = [f"{name}: missing" for name in expected if name not in actual]
    problems += [f"{name}: not expected" for name in actual if name not in expected]
    for name in expected:
        if name in actual:
            problems += [f"{name}: {text}" for text in _differences(actual[name], expected[name], max_abs)]
    if problems:
        raise AssertionError("\n".join(problems))


def _differences(actual: Array, expected: Array, max_abs: float) -> list[str]:
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return [f"got {actual.shape} {actual.dtype}, expected {expected.shape} {expected.dtype}"]
    problems = [
        f"{np.count_nonzero(~np.isfinite(array))} values of the {which} array are NaN or infinite"
        for which, array in (("actual", actual), ("expected", expected))
        if not np.isfinite(array).all()
    ]
    with np.errstate(invalid="ignore"):
        difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    off = difference > max_abs
    if off.any():
        worst = tuple(int(i) for i in np.unravel_index(int(np.nanargmax(difference)), difference.shape))
        problems.append(
            f"{np.count_nonzero(off)} of {off.size} values differ by more than {max_abs:g}; the most at {worst}: "
            f"got {actual[worst]}, expected {expected[worst]}, difference {difference[worst]:.6g}"
        )
    return problems
