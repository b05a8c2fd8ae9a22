"""`fundusrt table`: what is run, what is run again, what is printed, and what is never filled in."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from fundusrt.errors import UsageError
from fundusrt_training import trainer
from fundusrt_training.checkpoints import load_checkpoint
from fundusrt_training.data.split import SplitConfig, split
from fundusrt_training.errors import TrainingDiverged
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.tables.cli import table_command
from tests.training.conftest import write_case

Make = Callable[..., CmwnetConfig]
Call = Callable[..., Result]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures: one for each fold."""
    path = tmp_path_factory.mktemp("data") / "five"
    for index in range(5):
        write_case(path, f"eye{index}", 70, 100, index)
    return path


@pytest.fixture
def call(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> Call:
    """Call the command on the shared folder, with runs of two steps."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(tiny_config("optim.steps_per_epoch=1").to_dict()))

    def run(name: str, *arguments: object, test: bool = True) -> Result:
        fixed = ["--data", folder, "-o", tmp_path / "out", "--cache", cache, "--config", config, "--no-progress"]
        words = [name, *fixed, *(["--test", folder] if test else []), *arguments]
        result = CliRunner().invoke(table_command, [str(word) for word in words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    return run


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    return {row["row"]: row for row in json.loads((out / "table.json").read_text())["rows"]}


def summary(folder: Path) -> dict[str, Any]:
    (row,) = json.loads((folder / "summary.json").read_text())["rows"]
    return row


def test_rows_are_trained_scored_and_printed(call: Call, tmp_path: Path) -> None:
    result, out = call("cmwnet-3", "--rows", "crop", "--rows", "no-cgnr", "--seeds", 2), tmp_path / "out"
    rows = rows_of(out)
    for key in ("crop", "no-cgnr"):
        found = [summary(out / key / f"seed-{seed}" / "scores-test")["mean"]["dice"] for seed in (0, 1)]
        assert rows[key]["mean"]["dice"] == pytest.approx(np.mean(found))
        assert rows[key]["std"]["dice"] == pytest.approx(np.std(found, ddof=1))
        assert rows[key]["state"] == "2 runs"
    config = json.loads((out / "crop" / "seed-1" / "config.json").read_text())
    assert (config["mode"], config["run"]["seed"], config["split"]["fold"]) == ("crop", 1, None)
    assert summary(out / "no-cgnr" / "seed-0" / "scores-test")["post"]["cgnr"]["enabled"] is False
    assert not (out / "no-cgnr" / "seed-0" / "config.json").exists(), "it scores the run of row cmwnet"
    # The run of row cmwnet is there, but that row was not asked for.
    assert rows["cmwnet"]["state"] == "not scored"
    for key in ("down", "cmwnet"):
        assert rows[key]["mean"] == {"dice": None, "hd95": None, "asd": None}
    assert rows["down"]["state"] == "not run"
    assert "0.8385" in result.output
    assert "lost" in result.output
    markdown = (out / "table.md").read_text()
    assert "| Down-Sampling |  |  |  | 0.7702 | 63.8 | 18.9 | not run |" in markdown
    assert f"| Crop | {rows['crop']['mean']['dice']:.4f} ± {rows['crop']['std']['dice']:.4f} |" in markdown
    table = {row["row"]: row for row in csv.DictReader((out / "table.csv").read_text().splitlines())}
    assert float(table["crop"]["dice_mean"]) == rows["crop"]["mean"]["dice"]
    assert (table["down"]["dice_mean"], table["down"]["dice_paper"], table["down"]["runs"]) == ("", "0.7702", "0")
    assert table["cmwnet"]["dice_paper"] == ""


def test_complete_runs_are_neither_trained_nor_scored_again(call: Call, tmp_path: Path, monkeypatch: Any) -> None:
    call("cmwnet-3", "--rows", "crop")
    before = rows_of(tmp_path / "out")["crop"]

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("must not be called")

    monkeypatch.setattr(trainer, "train", fail)
    monkeypatch.setattr(trainer, "resume", fail)
    monkeypatch.setattr("fundusrt_training.tables.scores.evaluate", fail)
    call("cmwnet-3", "--rows", "crop")
    assert rows_of(tmp_path / "out")["crop"] == before
    monkeypatch.undo()
    call("cmwnet-3", "--rows", "crop", "--limit", 1)  # other images: scored again, not trained again
    assert rows_of(tmp_path / "out")["crop"]["mean"] != before["mean"]


def test_a_run_that_was_cut_off_goes_on(
    call: Call, folder: Path, cache: Path, tmp_path: Path, tiny_config: Make
) -> None:
    call("cmwnet-3", "--rows", "crop", "--rows", "down", "--max-minutes", 1e-9)
    rows = rows_of(tmp_path / "out")
    assert (rows["crop"]["state"], rows["down"]["state"]) == ("not run", "not run")
    begun = tmp_path / "out" / "down" / "seed-0"
    begun.mkdir(parents=True)  # stopped before its first checkpoint
    config = tiny_config("optim.steps_per_epoch=1", "mode=down")
    (begun / "config.json").write_text(json.dumps(config.to_dict()))
    out = tmp_path / "out" / "crop" / "seed-0"
    config = tiny_config("optim.steps_per_epoch=1", "mode=crop")
    trainer.train(config, folder, out, cache=cache, limits=trainer.Limits(1))
    listed = call("cmwnet-3", "--rows", "crop", "--rows", "down", "--dry-run").output
    assert "crop/seed-0: go on, then score (cut off after 1 of 2 epochs) mode=crop" in listed
    assert "down/seed-0: train, then score (begun) mode=down" in listed
    call("cmwnet-3", "--rows", "crop", "--rows", "down")
    rows = rows_of(tmp_path / "out")
    assert (rows["crop"]["state"], rows["down"]["state"]) == ("1 run", "1 run")
    whole = trainer.train(config, folder, tmp_path / "whole", cache=cache)
    ours, theirs = (load_checkpoint(run / "checkpoints/last.safetensors")[0] for run in (out, whole.path))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_folds_are_scored_on_what_they_held_out(
    five: Path, cache: Path, tmp_path: Path, call: Call, folder: Path
) -> None:
    call("cmwnet-2", "--data", five, "--folds", "--rows", "unet", "--set", "optim.epochs=1")
    document = json.loads((tmp_path / "out" / "table.json").read_text())
    assert document["repeats"] == [f"fold-{fold}" for fold in range(5)]
    unet = {row["part"]: row for row in document["rows"] if row["row"] == "unet"}
    assert (unet["held-out"]["paper_set"], unet["test"]["paper_set"]) == ("internal", "external")
    seen: list[str] = []
    for fold in range(5):
        scores = tmp_path / "out" / "unet" / f"fold-{fold}" / "scores-held-out" / "per_image.csv"
        images = [row["image"] for row in csv.DictReader(scores.read_text().splitlines())]
        assert images == split([f"eye{i}" for i in range(5)], SplitConfig(fold=fold))[1]
        seen += images
    assert sorted(seen) == [f"eye{i}" for i in range(5)]
    missing = [row["state"] for row in document["rows"] if row["row"] == "deeplabv3plus"]
    assert missing == ["not built: MONAI has no DeepLabv3+"] * 2
    (swin, _) = [row["state"] for row in document["rows"] if row["row"] == "swin-unetr"]
    assert swin.startswith("not run; needs other settings: tile.size: got 32 px; expected a multiple of 32")


def test_a_row_that_diverges_does_not_stop_the_table(call: Call, tmp_path: Path, monkeypatch: Any) -> None:
    original = trainer.train

    def diverge(config: CmwnetConfig, *arguments: Any, **keywords: Any) -> Any:
        if config.mode == "crop":
            raise TrainingDiverged("loss at step 3", got="loss nan", expected="finite values")
        return original(config, *arguments, **keywords)

    monkeypatch.setattr(trainer, "train", diverge)
    call("cmwnet-3", "--rows", "crop", "--rows", "down")
    rows = rows_of(tmp_path / "out")
    assert (rows["crop"]["state"], rows["down"]["state"]) == ("diverged", "1 run")
    assert rows["crop"]["mean"]["dice"] is None


def test_a_stopped_run_stops_the_table(call: Call, tmp_path: Path, monkeypatch: Any) -> None:
    """As when the first Ctrl-C ends a run early: the next row is not begun."""
    original = trainer.train

    def stopped(*arguments: Any, **keywords: Any) -> Any:
        return original(*arguments, **keywords | {"limits": trainer.Limits(1)})

    monkeypatch.setattr(trainer, "train", stopped)
    call("cmwnet-3", "--rows", "crop", "--rows", "down")
    rows = rows_of(tmp_path / "out")
    assert (rows["crop"]["state"], rows["down"]["state"]) == ("cut off after 1 of 2 epochs", "not run")


def test_dry_run_lists_and_writes_nothing(call: Call, tmp_path: Path) -> None:
    sides = ("--set", "tile.size=64", "--set", "global.size=64")
    lines = call("cmwnet-2", "--dry-run", "--folds", *sides, test=False).output.splitlines()
    assert "cenet: not built: MONAI has no CE-Net" in lines
    assert "unetr/fold-4: train, then score (not run) backbone=unetr" in lines
    assert not (tmp_path / "out").exists()
    lines = call("cmwnet-3", "--dry-run", "--rows", "no-fusion").output.splitlines()
    assert lines == [
        "no-fusion: scores the runs of cmwnet post.order=cgnr_only",
        "cmwnet/seed-0: train, then score (not run) mode=cmwnet",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["cmwnet-1", "--set", "ema.alpha=0.2"], r"--set ema\.alpha=0\.2: got a setting that the table itself decides"),
        (["cmwnet-1", "--set", "run.seed=3"], r"--set run\.seed=3: got a setting that the table itself decides"),
        (["cmwnet-1", "--set", "split.fold=1"], r"--set split\.fold=1: got a setting"),
        (["cmwnet-3", "--set", "cgnr.enabled=false"], r"--set cgnr\.enabled=false: got a setting"),
        (["cmwnet-2", "--rows", "cenet"], r"--rows cenet: got not built: MONAI has no CE-Net; expected a row that can"),
        (["cmwnet-3", "--paper", "IDRiD"], r"--paper IDRiD: got no data set of cmwnet-3; expected internal"),
        (["cmwnet-3", "--folds", "--seeds", "2"], r"--folds: got --seeds 2; expected one of them; leave one out"),
    ],
)
def test_refusals(call: Call, arguments: Sequence[str], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        call(*arguments)


def test_a_test_folder_is_needed(call: Call) -> None:
    with pytest.raises(UsageError, match="--test: got nothing; expected a folder to score; give one, or --folds"):
        call("cmwnet-3", test=False)


def test_a_folder_of_other_runs_is_refused(call: Call, tmp_path: Path, five: Path) -> None:
    call("cmwnet-3", "--rows", "crop", "--set", "optim.epochs=1")
    with pytest.raises(UsageError, match=r"crop/seed-0: got a run with other settings; .*another folder with -o"):
        call("cmwnet-3", "--rows", "crop")
    with pytest.raises(UsageError, match="got a run with other data"):
        call("cmwnet-3", "--rows", "crop", "--set", "optim.epochs=1", "--data", five)
    call("cmwnet-3", "--rows", "down")  # other rows are not disturbed, and not mixed in
    assert rows_of(tmp_path / "out")["crop"]["state"] == "other settings"
