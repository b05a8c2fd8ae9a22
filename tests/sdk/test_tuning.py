"""Tuning: what is tried, what is chosen by a clock moved by hand, where it is kept; it is used only by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt.bench.sensors import describe_machine
from fundusrt.errors import BackendUnavailable, InvalidInput
from fundusrt.loading import load
from fundusrt.provenance import Tuning
from fundusrt.testing import tiny_exudate_bundle, tiny_image
from fundusrt.tuning import search
from fundusrt.tuning.record import machine_key, record_path, write_record
from fundusrt.tuning.search import Setting, settings, tune
from tests.sdk.bench.hand_clock import HandClock, SlowSession
from tests.sdk.command_line import invoke


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test finds or leaves a record in the user's own folder."""
    monkeypatch.setenv("FUNDUSRT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Bench:
    """Opens real pipelines whose network calls take what `ms` says, by a clock moved by hand."""

    def __init__(self, ms: Any, wrong: Any = lambda options: False) -> None:
        self.clock, self._ms, self._wrong = HandClock(), ms, wrong
        self._noise: Iterator[float] = iter([1.0, 1.01, 0.99, 1.005, 0.995] * 10**5)

    def open(self, model: str, **options: Any) -> Any:
        pipeline = load(model, **{**options, "backend": "onnxruntime"})
        for name, session in dict(pipeline.sessions).items():
            pipeline.sessions[name] = SlowSession(
                session,
                lambda: self.clock.advance(self._ms(options) * next(self._noise)),
                np.zeros_like if self._wrong(options) else lambda values: values,
            )
        return pipeline


@pytest.fixture
def sample(tiny: Path) -> Path:
    return tiny / "golden" / "image.png"


def test_what_is_tried() -> None:
    found = settings(["onnxruntime"], 6, tiles=True)
    assert found[0] == Setting("onnxruntime")
    assert [each.threads for each in found if each.batch is None] == [None, 1, 2, 4, 6]
    assert {each.batch for each in found} == {None, 2, 4, 8}
    assert settings(["a", "b"], 1, tiles=False) == [
        Setting(name, threads) for name in ("a", "b") for threads in (None, 1)
    ]


def test_the_fastest_is_chosen(tiny: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BATCHES", (1, 4))
    monkeypatch.setattr(search.os, "cpu_count", lambda: 2)
    bench = Bench(lambda options: 5.0 if (options["threads"], options["batch"]) == (1, 4) else 10.0)
    made = tune(str(tiny), sample, backends=["onnxruntime"], clock=bench.clock, opened=bench.open, rounds=5)
    (choice,) = made.choices
    assert (choice.threads, choice.batch) == (1, 4)
    assert choice.ratio < 0.9
    assert all(len(trial.rounds_ms) == 5 for trial in made.trials)
    assert made.left_out == {}


def test_the_default_stays_unless_another_is_faster_beyond_the_noise(
    tiny: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BATCHES", (1,))
    bench = Bench(lambda options: 9.9 if options["threads"] == 1 else 10.0)
    made = tune(str(tiny), sample, backends=["onnxruntime"], clock=bench.clock, opened=bench.open, rounds=5)
    assert (made.choices[0].threads, made.choices[0].batch, made.choices[0].ratio) == (None, None, 1.0)


def test_a_setting_that_answers_wrongly_is_left_out_however_fast(
    tiny: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BATCHES", (1,))
    one = Bench(lambda options: 1.0 if options["threads"] == 1 else 10.0, wrong=lambda options: options["threads"] == 1)
    made = tune(str(tiny), sample, backends=["onnxruntime"], clock=one.clock, opened=one.open, rounds=2)
    assert made.choices[0].threads != 1
    assert "golden image" in made.left_out["onnxruntime, 1 threads"]
    every = Bench(lambda _: 1.0, wrong=lambda _: True)
    with pytest.raises(BackendUnavailable, match="expected a setting that answers rightly"):
        tune(str(tiny), sample, backends=["onnxruntime"], clock=every.clock, opened=every.open, rounds=2)


def stored(tiny: Path, sample: Path, **choice: Any) -> Path:
    """Store a record whose choice for onnxruntime is this."""
    bench = Bench(lambda _: 10.0)
    made = tune(str(tiny), sample, backends=["onnxruntime"], clock=bench.clock, opened=bench.open, rounds=2)
    first = made.choices[0].model_copy(update=choice)
    return write_record(made.model_copy(update={"choices": (first,)}))


def test_it_is_used_by_name_alone_and_said(
    tiny: Path, sample: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BATCHES", (1,))
    path = stored(tiny, sample, threads=1, batch=4)
    assert path.parent == cache / "tuning"
    with fundusrt.load(tiny, threads="tuned") as tuned, fundusrt.load(tiny) as plain:
        made, other = tuned(tiny_image()), plain(tiny_image())
    assert np.array_equal(made.mask, other.mask)
    told = made.to_dict()["provenance"]["tuning"]
    assert (told["threads"], told["batch"], told["record"]) == (1, 4, path.name)
    assert made.provenance.tuning == Tuning(**told)
    assert other.provenance.tuning is None


def test_a_bundle_that_was_not_tuned_names_the_command(tiny: Path) -> None:
    with pytest.raises(BackendUnavailable) as caught:
        fundusrt.load(tiny, threads="tuned")
    assert caught.value.got == "a bundle that was not tuned on this machine"
    assert caught.value.fix == f"run `fundusrt tune {tiny} --backend onnxruntime --precision fp32`"


def test_another_backend_s_tuning_is_not_taken(tiny: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BATCHES", (1,))
    stored(tiny, sample, backend="openvino")
    with pytest.raises(
        BackendUnavailable, match="got backend 'onnxruntime', which was not tuned; expected one of open"
    ):
        fundusrt.load(tiny, threads="tuned")


@pytest.mark.parametrize("damage", ["{", '{"format": "fundusrt-tuning"}', "x" * 2**21, "machine"])
def test_a_record_that_is_not_believed(damage: str, tiny: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BATCHES", (1,))
    path = stored(tiny, sample)
    if damage == "machine":
        content = json.loads(path.read_text())
        content["machine"]["cpu"] = "another"
        damage = json.dumps(content)
    path.write_text(damage)
    with pytest.raises(BackendUnavailable) as caught:
        fundusrt.load(tiny, threads="tuned")
    assert caught.value.subject == str(path)
    assert str(caught.value.fix).startswith("run `fundusrt tune")


def test_the_key_is_what_the_machine_is() -> None:
    here = describe_machine()
    assert machine_key(here) == machine_key(describe_machine())
    other = here.model_copy(update={"usable_cores": here.usable_cores + 1})
    assert machine_key(here) != machine_key(other)
    assert record_path("a" * 64, "fp32", here) != record_path("a" * 64, "fp32", other)
    assert record_path("a" * 64, "fp32", here) != record_path("a" * 64, "int8", here)


def test_a_batch_on_the_cpu(tiny: Path, tmp_path: Path) -> None:
    with fundusrt.load(tiny, batch=4) as four, fundusrt.load(tiny) as one:
        assert np.array_equal(four(tiny_image()).mask, one(tiny_image()).mask)
    with pytest.raises(InvalidInput, match=r"batch: got 2 for .*, which cuts no tiles; expected None"):
        fundusrt.load(tiny_exudate_bundle(tmp_path / "exudate"), batch=2)


def test_the_command_and_then_run_with_it(tmp_path: Path, sample: Path, cache: Path) -> None:
    bundle = tiny_exudate_bundle(tmp_path / "tiny")
    done = invoke("tune", bundle, "--backend", "onnxruntime", "--rounds", 2)
    assert done.exit_code == 0, done.output
    assert "use it    --backend onnxruntime --threads tuned" in done.output
    (file,) = (cache / "tuning").glob("*.json")
    assert json.loads(file.read_text())["bundle"] == "tiny"
    ran = invoke("run", sample, "-m", bundle, "-o", tmp_path / "out", "--threads", "tuned", "--json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["results"][0]["provenance"]["tuning"]["record"] == file.name
    wrong = invoke("run", sample, "-m", bundle, "-o", tmp_path / "out", "--threads", "many")
    assert wrong.exit_code == 2
