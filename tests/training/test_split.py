"""Folds: a partition, reproducible, independent of the run's seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.data.folder import Case
from fundusrt_training.data.split import SplitConfig, split

CASES = [Case(f"eye{i:03d}", Path("a"), Path("b")) for i in range(183)]


def test_folds_are_a_partition_of_nearly_equal_parts() -> None:
    parts = [split(CASES, SplitConfig(fold=fold)) for fold in range(5)]
    held = [case.name for _, part in parts for case in part]
    assert sorted(held) == [case.name for case in CASES]
    assert sorted(len(part) for _, part in parts) == [36, 36, 37, 37, 37]
    for train, part in parts:
        assert sorted([*train, *part], key=lambda c: c.name) == CASES
        assert train == sorted(train, key=lambda c: c.name)


def test_folds_follow_their_own_seed() -> None:
    assert split(CASES, SplitConfig(fold=2)) == split(CASES, SplitConfig(fold=2))
    assert split(CASES, SplitConfig(fold=2)) != split(CASES, SplitConfig(fold=2, seed=1))


def test_without_a_fold_nothing_is_held_out() -> None:
    assert split(CASES, SplitConfig()) == (CASES, [])


def test_bad_folds_are_refused() -> None:
    with pytest.raises(UsageError, match=r"split\.fold: got 5; expected 0 to 4, or null"):
        SplitConfig(fold=5)
    with pytest.raises(UsageError, match=r"split\.folds: got 1; expected at least 2"):
        SplitConfig(folds=1)
    with pytest.raises(InvalidInput, match="got 5 folds of 3 images; expected an image for each fold"):
        split(CASES[:3], SplitConfig(fold=0))
