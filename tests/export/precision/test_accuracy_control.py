"""The search by itself: candidates are sets of layers, harm is a number for each layer."""

from __future__ import annotations

import itertools
import math

import pytest

from fundusrt.agreement import at_most
from fundusrt.certificate import Measurement
from fundusrt_export.errors import PrecisionError
from fundusrt_export.precision.accuracy_control import Controlled, control_accuracy

LAYERS = ("a", "b", "c", "d", "e", "f", "g")


def control(harm: dict[str, float], limit: float) -> tuple[Controlled, list[frozenset[str]]]:
    """A file is the text of its reduced layers; its distance is the sum of their harms."""
    judged: list[frozenset[str]] = []

    def build(restored: frozenset[str]) -> bytes:
        return "".join(layer for layer in LAYERS if layer not in restored).encode()

    def distance(candidate: bytes) -> float:
        reduced = candidate.decode()
        judged.append(frozenset(reduced))
        return sum(harm.get(layer, 0.0) for layer in reduced)

    def judge(candidate: bytes) -> Measurement:
        return at_most("sum", distance(candidate), limit)

    said: list[str] = []
    controlled = control_accuracy("int8", build, LAYERS, judge, distance, said.append)
    assert said
    return controlled, judged


def test_nothing_is_put_back_without_need() -> None:
    controlled, judged = control({"c": 1.0}, limit=1.0)
    assert controlled.restored == ()
    assert controlled.content == b"abcdefg"
    assert len(judged) == controlled.candidates == 1


@pytest.mark.parametrize("count", range(1, 7))
def test_the_fewest_and_most_harmful_go_back(count: int) -> None:
    worst = ["d", "a", "g", "b", "f", "c"][:count]
    controlled, judged = control({layer: 10.0 - rank for rank, layer in enumerate(worst)}, limit=0.5)
    assert controlled.restored == tuple(worst)
    assert controlled.figure.holds
    assert not controlled.unrestored.holds
    assert len(judged) == controlled.candidates


def test_every_pair_is_found() -> None:
    for pair in itertools.combinations(LAYERS, 2):
        assert set(control(dict.fromkeys(pair, 1.0), limit=0.0)[0].restored) == set(pair)


def test_infinite_harm_comes_first() -> None:
    controlled, _ = control({"a": 1.0, "e": math.inf}, limit=2.0)
    assert controlled.restored == ("e",)


def test_what_is_returned_was_judged() -> None:
    controlled, judged = control({"b": 3.0, "f": 2.0}, limit=1.0)
    assert frozenset(controlled.content.decode()) in judged


def test_one_layer_at_least_stays_reduced() -> None:
    with pytest.raises(PrecisionError) as raised:
        control(dict.fromkeys(LAYERS, 1.0), limit=0.5)
    assert str(raised.value) == (
        "precision int8: got sum 1 with 6 of 7 layers in float32; expected at most 0.5; "
        "export this network in fp16 or fp32"
    )


def test_no_layer_at_all() -> None:
    with pytest.raises(PrecisionError, match="no layer that can be reduced"):
        control_accuracy("fp16", lambda _: b"", (), lambda _: at_most("sum", 0.0, 1.0), lambda _: 0.0, print)


def test_a_known_ranking_is_used_and_what_it_leads_to_is_judged() -> None:
    rankings: dict[tuple[str, ...], tuple[str, ...]] = {("a", "b"): ("b", "a")}
    made = control_accuracy(
        "int8",
        lambda restored: "".join(layer for layer in "ab" if layer not in restored).encode(),
        ("a", "b"),
        lambda candidate: at_most("a is there", float(b"a" in candidate), 1.0 if b"b" not in candidate else 0.5),
        lambda candidate: pytest.fail(f"ranked again: {candidate!r}"),
        lambda line: None,
        rankings,
    )
    assert (made.restored, made.content, made.candidates) == (("b",), b"a", 2)


def test_a_ranking_is_kept_for_the_next_graph() -> None:
    rankings: dict[tuple[str, ...], tuple[str, ...]] = {}
    given = (
        "int8",
        lambda restored: "".join(layer for layer in "abc" if layer not in restored).encode(),
        ("a", "b", "c"),
        lambda candidate: at_most("c is there", float(b"c" in candidate), 0.5),
    )
    first = control_accuracy(*given, lambda candidate: float(b"c" in candidate), lambda line: None, rankings)
    assert rankings == {("a", "b", "c"): ("c", "a", "b")}
    again = control_accuracy(*given, lambda candidate: 0.0, lambda line: None, rankings)
    assert again.restored == first.restored == ("c",)
    assert again.candidates == first.candidates - 3
