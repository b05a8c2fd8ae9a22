"""Runs of the same are not told apart, an injected slow-down is, and neither depends on a clock of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fundusrt.bench.comparison import compare, ratio_of
from fundusrt.bench.processes import BenchRequest, run_bench
from fundusrt.bench.report import Machine, Reading
from fundusrt.errors import InvalidInput
from tests.sdk.bench.hand_clock import launcher
from tests.sdk.bench.made_machine import MACHINE, SNAPSHOT
from tests.sdk.bench.made_reports import made_report, noisy_samples

PAIRS = 30


def verdicts(slower: float) -> list[str]:
    found = []
    for pair in range(PAIRS):
        a, b = noisy_samples(2 * pair), noisy_samples(2 * pair + 1, slower=slower)
        found.append(compare(made_report(a), made_report(b)).verdict)
    return found


def test_runs_of_the_same_agree() -> None:
    """At most one pair in thirty may be told apart by bad luck."""
    assert verdicts(1.0).count("no difference") >= PAIRS - 1


def test_a_slow_down_of_20_percent_is_found() -> None:
    assert verdicts(1.2).count("slower") >= PAIRS - 1


def test_what_is_slower_one_way_is_faster_the_other() -> None:
    a, b = made_report(noisy_samples(1)), made_report(noisy_samples(2, slower=1.3))
    assert (compare(a, b).verdict, compare(b, a).verdict) == ("slower", "faster")
    row, back = compare(a, b).rows[0], compare(b, a).rows[0]
    assert row.ratio == pytest.approx(1.0 / back.ratio)
    assert row.low < row.ratio < row.high
    assert row.floor >= 0.05


def test_a_run_that_drifted_believes_less() -> None:
    """Parts of A are 40 % apart, so 20 % between A and B say nothing."""
    samples = noisy_samples(3)
    drifted = [
        sample.model_copy(update={"wall_ms": sample.wall_ms * (1.4 if sample.process == 2 else 1.0)})
        for sample in samples
    ]
    a, b = made_report(drifted), made_report(noisy_samples(4, slower=1.2))
    (row,) = compare(a, b).rows
    assert row.floor > 0.3
    assert row.verdict == "no difference"
    assert "A was noisy: parts of the run are" in compare(a, b).doubts[0]


def test_the_minimal_effect_is_the_reader_s() -> None:
    a, b = made_report(noisy_samples(5)), made_report(noisy_samples(6, slower=1.2))
    assert compare(a, b, min_effect=0.05).verdict == "slower"
    assert compare(a, b, min_effect=0.5).verdict == "no difference"
    with pytest.raises(InvalidInput, match=r"min_effect: got -0\.1; expected 0 to 10"):
        compare(a, b, min_effect=-0.1)


def test_neighbouring_rounds_stay_together() -> None:
    """A slow walk up and down widens the interval; the same rounds in a lucky order do not make it narrow."""
    walk = [0.1 * (step % 32) / 32 for step in range(64)]
    flat = {0: [0.05] * 64}
    _, low, high = ratio_of({0: walk}, flat)
    assert high - low > 0.02
    _, low, high = ratio_of(flat, flat)
    assert (low, high) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"bundle": {"name": "tiny", "version": "1", "sha256": "b" * 64, "system": "cmwnet"}}, "bundle sha256: aaaa"),
        (
            {"images": [{"name": "x.png", "sha256": "9" * 64, "height": 64, "width": 64}]},
            "images: 0.png 000000000000, 1.png 111111111111 and x.png 999999999999",
        ),
        ({"machine": {"cpu": "another processor"}}, "cpu: a processor and another processor"),
        ({"machine": {"usable_cores": 1}}, "usable cores: 2 and 1"),
        ({"machine": {"cpu_quota": Reading(value=0.5)}}, "cpu quota: none and 0.5"),
        ({"machine": {"gpus": ("a GPU",)}}, "GPUs: none and a GPU"),
        ({"governor": "powersave"}, "governor: performance and powersave"),
        ({"scopes": ("device",)}, "scopes: end_to_end single_stream and device single_stream"),
    ],
)
def test_unlike_runs_are_refused_and_what_differs_is_named(changes: dict[str, Any], named: str) -> None:
    a = made_report(noisy_samples(1))
    b = made_report(noisy_samples(2, scopes=changes.pop("scopes", ("end_to_end",))))
    environment: dict[str, Any] = {}
    if "machine" in changes:
        environment["machine"] = Machine.model_validate({**MACHINE.model_dump(), **changes.pop("machine")})
    if "governor" in changes:
        governor = Reading(value=changes.pop("governor"))
        environment["snapshots"] = (SNAPSHOT.model_copy(update={"governor": governor}),)
    b = b.model_copy(update={"environment": b.environment.model_copy(update=environment)})
    b = type(b).model_validate({**b.model_dump(), **changes})
    with pytest.raises(InvalidInput) as caught:
        compare(a, b, names=("a.json", "b.json"))
    assert caught.value.subject == "a.json and b.json"
    assert named in str(caught.value.got)
    assert caught.value.fix == "measure both on one machine with the same bundle, images and workers"


def test_all_that_differs_is_named_at_once() -> None:
    a, b = made_report(noisy_samples(1)), made_report(noisy_samples(2))
    machine = MACHINE.model_copy(update={"cpu": "other", "cores": 8})
    b = b.model_copy(update={"environment": b.environment.model_copy(update={"machine": machine})})
    with pytest.raises(InvalidInput, match=r"got cpu: a processor and other; cores: 2 and 8; expected"):
        compare(a, b)


def test_a_wrong_run_is_compared_with_nothing() -> None:
    check = {"what": "mask", "got": "1", "expected": "0", "holds": False}
    wrong = made_report(noisy_samples(2), correctness={"holds": False, "checks": [check]})
    with pytest.raises(InvalidInput, match=r"B: got a run with wrong answers \(mask\)"):
        compare(made_report(noisy_samples(1)), wrong)


def test_too_few_rounds_are_refused() -> None:
    a, b = made_report(noisy_samples(1)), made_report(noisy_samples(2, processes=1, rounds=2))
    with pytest.raises(InvalidInput, match="B: got 2 rounds; expected at least 3; measure longer"):
        compare(a, b)


def test_what_runs_are_compared_for_may_differ_and_is_said() -> None:
    runtime = made_report(noisy_samples(1)).runtime.model_dump()
    a = made_report(noisy_samples(1))
    b = made_report(noisy_samples(2), runtime={**runtime, "backend": "openvino", "threads": 2})
    found = compare(a, b)
    assert found.differs == ("backend: onnxruntime and openvino", "threads: None and 2")


def test_the_networks_alone_are_not_compared_between_devices() -> None:
    scopes: Any = ("network", "end_to_end")
    runtime = made_report(noisy_samples(1)).runtime.model_dump()
    a = made_report(noisy_samples(1, scopes=scopes))
    b = made_report(noisy_samples(2, scopes=scopes), runtime={**runtime, "device": "cuda"})
    assert [row.scope for row in compare(a, a).rows] == ["end_to_end", "network"]
    assert [row.scope for row in compare(a, b).rows] == ["end_to_end"]


def test_a_delay_in_real_runs_is_found_by_a_clock_moved_by_hand(tiny: Path) -> None:
    """A real pipeline, real rounds and documents; only the time that its networks take is made up."""
    image = tiny / "golden" / "image.png"

    def run(ms: float, seed: int) -> Any:
        request = BenchRequest(
            str(tiny), image, {"threads": 1}, (image,), scenarios=("single_stream",), processes=2, rounds=6
        )
        return run_bench(request, launch=launcher(ms, seed))

    a, same, slow = run(2.0, 1), run(2.0, 2), run(2.4, 3)
    assert compare(a, same).verdict == "no difference"
    found = compare(a, slow)
    assert {row.scope: row.verdict for row in found.rows} == dict.fromkeys(
        ("end_to_end", "device", "network"), "slower"
    )
    assert found.rows[-1].ratio == pytest.approx(1.2, abs=0.05)
