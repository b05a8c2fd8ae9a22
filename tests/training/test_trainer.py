"""Runs: what they leave on disk, that they learn, and that an interrupted run equals an uninterrupted one."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from fundusrt.errors import UsageError
from fundusrt_training import run_callbacks, trainer
from fundusrt_training.checkpoints import load_checkpoint, read_metadata
from fundusrt_training.errors import ResumeError
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

Make = Callable[..., CmwnetConfig]


def rows(run: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    found = list(csv.DictReader((run / name).read_text().splitlines()))
    for row in found:
        row.pop("seconds")
    return found


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints" / f"{name}.safetensors")[0]


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_leaves_everything_that_is_needed(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> None:
    run = trainer.train(tiny_config(), folder, tmp_path / "run", val=folder, cache=cache).path
    assert [int(row["step"]) for row in rows(run)] == [1, 2, 3, 4, 5, 6]
    assert [int(row["epoch"]) for row in rows(run)] == [0, 0, 0, 1, 1, 1]
    for row in rows(run):
        assert float(row["L3"]) == pytest.approx(0.7 * float(row["L1"]) + 0.3 * float(row["L2"]), rel=1e-6)
        assert float(row["loss"]) == pytest.approx(float(row["L3"]) + float(row["beta"]) * float(row["L4"]), rel=1e-6)
    lr = [float(row["lr"]) for row in rows(run)]
    assert lr == pytest.approx([5e-3] * 3 + [(5e-3 + 1e-5) / 2] * 3)
    assert [row["step"] for row in rows(run, "validation.csv")] == ["3", "6"]
    assert json.loads((run / "config.json").read_text()) == tiny_config().to_dict()
    data = json.loads((run / "data.json").read_text())
    assert set(data["train"]) == {"eye0", "eye1", "eye2"}
    assert len(data["train"]["eye0"]["image"]) == 64
    facts = json.loads((run / "run.json").read_text())
    assert facts["versions"]["torch"]
    assert list((run / "tensorboard").glob("events*"))
    assert not [path for path in run.rglob("*") if path.suffix in (".ckpt", ".pt", ".pkl")]
    scores = [float(row["dice"]) for row in rows(run, "validation.csv")]
    best = read_metadata(run / "checkpoints" / "best.safetensors")
    assert best["validation"]["dice"] == pytest.approx(max(scores))
    assert best["step"] == 3 * (1 + scores.index(max(scores)))
    state, config = load_checkpoint(run / "checkpoints" / "last.safetensors")
    CmwnetModule(CmwnetConfig.from_dict(config)).load_weights(state)


@pytest.mark.parametrize(
    "settings", [[], ["mode=crop"], ["mode=down"], ["ema.every=epoch", "beta.mode=run"], ["run.precision=bf16"]]
)
def test_interrupted_and_continued_equals_uninterrupted(
    folder: Path, cache: Path, tmp_path: Path, tiny_config: Make, settings: list[str]
) -> None:
    config = tiny_config(*settings)
    whole = trainer.train(config, folder, tmp_path / "whole", val=folder, cache=cache).path
    parts = tmp_path / "parts"
    trainer.train(config, folder, parts, val=folder, cache=cache, limits=trainer.Limits(2))
    for steps in (3, 5, None):  # in the middle of an epoch, at its end, in the middle of the next, to the end
        trainer.resume(parts, cache=cache, limits=trainer.Limits(steps))
    assert rows(parts) == rows(whole)
    assert equal(weights(parts), weights(whole))
    assert equal(
        load_checkpoint(parts / "checkpoints/resume.safetensors")[0],
        load_checkpoint(whole / "checkpoints/resume.safetensors")[0],
    )


def test_compiled_networks_learn_the_same(
    folder: Path, cache: Path, tmp_path: Path, tiny_config: Make, monkeypatch: Any
) -> None:
    compiled: list[str] = []
    original = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **kw: (compiled.append(kw["backend"]), original(self, **kw))[1]
    )
    plain, fused = (
        trainer.train(tiny_config(*settings, "optim.epochs=1"), folder, tmp_path / name, cache=cache).path
        for name, settings in (("plain", []), ("fused", ["run.compile=aot_eager"]))
    )
    assert compiled == ["aot_eager"] * 2  # both branches, in the second run alone
    assert weights(fused).keys() == weights(plain).keys()
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(fused)[name], value, rtol=1e-4, atol=1e-5)


def test_loader_processes_change_nothing(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> None:
    runs = [
        trainer.train(tiny_config(f"run.workers={n}", "optim.epochs=1"), folder, tmp_path / str(n), cache=cache).path
        for n in (0, 2)
    ]
    assert rows(runs[0]) == rows(runs[1])


def test_a_crash_after_a_checkpoint_is_made_good(
    folder: Path, cache: Path, tmp_path: Path, tiny_config: Make, monkeypatch: Any
) -> None:
    config = tiny_config()
    whole = trainer.train(config, folder, tmp_path / "whole", cache=cache).path
    original = CmwnetModule.training_step

    def crash(self: CmwnetModule, data: Any, index: int) -> torch.Tensor:
        if self.progress.step == 5:
            raise RuntimeError("power cut")
        return original(self, data, index)

    monkeypatch.setattr(CmwnetModule, "training_step", crash)
    with pytest.raises(RuntimeError, match="power cut"):
        trainer.train(config, folder, tmp_path / "crashed", cache=cache)
    monkeypatch.undo()
    assert len(rows(tmp_path / "crashed")) == 5, "rows beyond the checkpoint of step 3"
    trainer.resume(tmp_path / "crashed", cache=cache)
    assert rows(tmp_path / "crashed") == rows(whole)
    assert equal(weights(tmp_path / "crashed"), weights(whole))


def test_average_happens_in_training(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> None:
    # alpha 1: the whole-image branch is the tile branch after every step
    run = trainer.train(tiny_config("ema.alpha=1"), folder, tmp_path / "run", cache=cache).path
    state = weights(run)
    for name, value in state.items():
        if name.startswith("large."):
            assert torch.equal(value, state[name.replace("large.", "small.", 1)])


def test_all_modes_see_the_same_data(
    folder: Path, cache: Path, tmp_path: Path, tiny_config: Make, monkeypatch: Any
) -> None:
    seen: dict[str, list[str]] = {}
    original = CmwnetModule.training_step

    def note(self: CmwnetModule, data: Any, index: int) -> torch.Tensor:
        seen.setdefault(self.config.mode, []).extend(data["name"])
        return original(self, data, index)

    monkeypatch.setattr(CmwnetModule, "training_step", note)
    for mode in ("cmwnet", "crop", "down"):
        trainer.train(tiny_config(f"mode={mode}", "tile.sampling=random"), folder, tmp_path / mode, cache=cache)
    assert len(seen["cmwnet"]) == 12
    assert seen["cmwnet"] == seen["crop"] == seen["down"]


@pytest.mark.parametrize("settings", [["mode=down"], ["mode=crop", "loss.dice=0", "loss.tversky=0"]])
def test_it_learns(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make, settings: list[str]) -> None:
    longer = ("optim.steps_per_epoch=25", "optim.batch=4", "tile.positive_fraction=0.5", "run.val_images=0")
    run = trainer.train(tiny_config(*longer, *settings), folder, tmp_path / "run", val=folder, cache=cache).path
    losses = [float(row["loss"]) for row in rows(run)]
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])
    assert float(rows(run, "validation.csv")[-1]["dice"]) > 0.6


def test_time_limit_stops_after_a_step_and_saves(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> None:
    out = tmp_path / "run"
    trainer.train(tiny_config(), folder, out, cache=cache, limits=trainer.Limits(minutes=1e-9))
    assert len(rows(out)) == 1
    assert read_metadata(out / "checkpoints" / "resume.safetensors")["training"]["progress"] == {
        "epoch": 0,
        "batch": 1,
        "step": 1,
    }


def test_interrupt_stops_after_the_step_and_saves(
    folder: Path, cache: Path, tmp_path: Path, tiny_config: Make, monkeypatch: Any
) -> None:
    original = CmwnetModule.training_step

    def interrupt(self: CmwnetModule, data: Any, index: int) -> torch.Tensor:
        if self.progress.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, data, index)

    monkeypatch.setattr(CmwnetModule, "training_step", interrupt)
    before = signal.getsignal(signal.SIGINT)
    trainer.train(tiny_config(), folder, tmp_path / "run", cache=cache)
    assert len(rows(tmp_path / "run")) == 2
    assert read_metadata(tmp_path / "run/checkpoints/resume.safetensors")["step"] == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_long_epochs_are_saved_in_between(
    folder: Path, cache: Path, tmp_path: Path, tiny_config: Make, monkeypatch: Any
) -> None:
    saved: list[int] = []
    original = run_callbacks.KeepRun.save

    def note(self: run_callbacks.KeepRun, lightning: Any, module: CmwnetModule) -> None:
        saved.append(module.progress.step)
        original(self, lightning, module)

    monkeypatch.setattr(run_callbacks.KeepRun, "save", note)
    monkeypatch.setattr(run_callbacks.KeepRun.__init__, "__defaults__", (1e-9,))
    trainer.train(tiny_config("optim.epochs=1"), folder, tmp_path / "run", cache=cache)
    assert saved[:3] == [1, 2, 3]


def test_runs_are_never_overwritten_or_mixed(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> None:
    out = tmp_path / "run"
    with pytest.raises(
        ResumeError, match=r"got no config\.json; expected a run with a checkpoint; train without --resume"
    ):
        trainer.resume(out, cache=cache)
    trainer.train(tiny_config("optim.epochs=1"), folder, out, cache=cache)
    with pytest.raises(
        ResumeError, match=r"got a folder that already holds a run; expected a new folder; add --resume"
    ):
        trainer.train(tiny_config(), folder, out, cache=cache)
    with pytest.raises(UsageError, match=r"got a run at epoch 1 of 1, step 3; expected epochs or steps left"):
        trainer.resume(out, cache=cache)


def test_changed_data_is_refused(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> None:
    data = Path(shutil.copytree(folder, tmp_path / "data"))
    trainer.train(tiny_config(), data, tmp_path / "run", cache=cache, limits=trainer.Limits(2))
    moved = data.rename(tmp_path / "moved")
    trainer.resume(tmp_path / "run", data=moved, cache=cache, limits=trainer.Limits(3))
    picture = Image.open(moved / "images" / "eye1.png").point(lambda v: 255 - v)
    picture.save(moved / "images" / "eye1.png")
    with pytest.raises(ResumeError, match=r"got 1 images that differ from the run's data, first train/eye1"):
        trainer.resume(tmp_path / "run", data=moved, cache=cache)


def test_a_fold_is_held_out(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> None:
    config = tiny_config("split.folds=3", "split.fold=1", "optim.epochs=1", "run.val_images=0")
    run = trainer.train(config, folder, tmp_path / "run", cache=cache).path
    data = json.loads((run / "data.json").read_text())
    assert len(data["train"]) == 2
    assert len(data["val"]) == 1
    assert {*data["train"], *data["val"]} == {"eye0", "eye1", "eye2"}
    with pytest.raises(UsageError, match=r"--val: got split\.fold 1; expected either a validation folder or a fold"):
        trainer.train(config, folder, tmp_path / "other", val=folder, cache=cache)
