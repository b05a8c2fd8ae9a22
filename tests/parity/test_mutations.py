"""Every planted fault is caught by the rung named for it, nothing is caught without one, and the page says so."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from fundusrt.ladder import LADDER
from tests.parity.ladder_page import PAGE, mutation_row, rung_rows, section
from tests.parity.mutations import MUTATIONS, Mutation, caught, in_graph, scaled_for_float16
from tests.parity.small_ladder import failing
from tests.parity.whole_ladder import WholeLadder

REQUIRED = (
    "red and blue exchanged",
    "align_corners",
    "blend weights shifted by half a pixel",
    "zero instead of reflect padding",
    "no gamma",
    "reversed wavelet filters",
    "LL without its factor 2",
    "a cast overflows",
    "resize after the threshold",
    "statistics of each tile",
)


@pytest.fixture(scope="module")
def ladder(originals: Any, rewritten: Any, files: dict[str, bytes], tiny: Path) -> WholeLadder:
    return WholeLadder.of(originals, rewritten, files, tiny)


def test_without_a_fault_every_rung_holds(ladder: WholeLadder) -> None:
    rungs = ladder.all()
    assert {rung.name: failing(rung) for rung in rungs} == {rung.name: [] for rung in rungs}
    assert {rung.name for rung in rungs} >= {mutation.rung for mutation in MUTATIONS}
    assert ladder.image.pixels.shape == (101, 203, 3)
    assert 0.05 < ladder.reference.mask.mean() < 0.95


def test_what_overflows_is_harmless_without_the_cast(ladder: WholeLadder) -> None:
    assert failing(ladder.r4(in_graph(ladder.files["small"], scaled_for_float16))) == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[f"{each.name}, {each.rung}" for each in MUTATIONS])
def test_the_named_rung_catches_it(mutation: Mutation, ladder: WholeLadder, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = caught(mutation, mutation.plant(ladder, monkeypatch))
    assert not figure.holds
    written = section(PAGE.read_text(), "mutations")[MUTATIONS.index(mutation)].split(" | ")
    expected = mutation_row(mutation, figure).split(" | ")
    *words, value, limit = written
    assert (words, limit) == (expected[:-2], expected[-1])
    close = math.isclose(float(value), figure.value, rel_tol=0.5) or float(value) == figure.value
    assert close, f"the page says {value}: run python -m tests.parity.ladder_page"


def test_every_fault_of_the_plan_and_every_rung_is_there() -> None:
    assert set(REQUIRED) <= {mutation.name for mutation in MUTATIONS}
    codes = {LADDER[mutation.rung].code for mutation in MUTATIONS}
    assert codes >= {f"R{k}" for k in range(8)}


def test_the_page_has_the_ladders_table() -> None:
    text = PAGE.read_text()
    assert section(text, "rungs") == rung_rows()
    assert len(section(text, "mutations")) == len(MUTATIONS)
