"""SS-MAF runs: what they leave on disk, exact continuation, the order of the data, refusals."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from fundusrt.errors import FundusRTError, InvalidInput, UsageError
from fundusrt_training import trainer
from fundusrt_training.checkpoints import load_checkpoint, read_metadata
from fundusrt_training.cli import train as train_command
from fundusrt_training.errors import ResumeError
from fundusrt_training.systems.ss_maf import SsMafModule
from fundusrt_training.systems.ss_maf_config import SsMafConfig
from fundusrt_training.systems.ss_maf_task import SsMafTask
from tests.training.conftest import TINY_SS_MAF

Make = Callable[..., SsMafConfig]


def rows(run: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    found = list(csv.DictReader((run / name).read_text().splitlines()))
    for row in found:
        row.pop("seconds")
    return found


def test_a_run_leaves_everything_that_is_needed(exudates: Path, tmp_path: Path, tiny_ss_maf: Make) -> None:
    run = trainer.train(tiny_ss_maf(), exudates, tmp_path / "run", val=exudates).path
    found = rows(run)
    assert [int(row["step"]) for row in found] == [1, 2, 3, 4, 5, 6]  # 7 images, 3 whole batches an epoch
    for row in found:
        parts = sum(float(row[name]) for name in ("seg", "sr", "fused_seg", "fused_sr"))
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-5)
    assert [float(row["lr"]) for row in found] == pytest.approx([0.01 * (1 - step / 6) ** 0.9 for step in range(6)])
    scores = rows(run, "validation.csv")
    assert [row["step"] for row in scores] == ["3", "6"]
    assert set(scores[0]) == {"step", "epoch", "iou", "eye0", "eye1"}
    assert json.loads((run / "run.json").read_text())["system"] == "ss-maf"
    assert set(json.loads((run / "data.json").read_text())["train"]) == {f"eye{index}" for index in range(7)}
    state, config = load_checkpoint(run / "checkpoints" / "last.safetensors")
    assert read_metadata(run / "checkpoints" / "last.safetensors")["system"] == "ss-maf"
    SsMafModule(SsMafConfig.from_dict(config)).load_weights(state)


@pytest.mark.parametrize(
    "settings", [(), ("net.stream=unet",), ("run.precision=bf16",), ("data.channels=green", "run.workers=1")]
)
def test_interrupted_and_continued_equals_uninterrupted(
    exudates: Path, tmp_path: Path, tiny_ss_maf: Make, settings: tuple[str, ...]
) -> None:
    whole = trainer.train(tiny_ss_maf(*settings), exudates, tmp_path / "whole").path
    parts = tmp_path / "parts"
    trainer.train(tiny_ss_maf(*settings), exudates, parts, limits=trainer.Limits(2))
    for steps in (4, None):
        trainer.resume(parts, system="ss-maf", limits=trainer.Limits(steps))
    assert rows(parts) == rows(whole)
    ours, theirs = (load_checkpoint(run / "checkpoints" / "last.safetensors")[0] for run in (parts, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_every_image_comes_once_an_epoch_in_an_order_of_its_own(
    exudates: Path, tmp_path: Path, tiny_ss_maf: Make
) -> None:
    task = SsMafTask(tiny_ss_maf("optim.batch=1"))
    task.prepare(exudates, None, tmp_path)
    orders = [[batch["name"][0] for batch in task.loader(epoch, 0)] for epoch in (0, 1, 0)]
    assert all(sorted(order) == [f"eye{index}" for index in range(7)] for order in orders)
    assert orders[0] == orders[2] != orders[1]
    assert [batch["name"][0] for batch in task.loader(0, 4)] == orders[0][4:]


def test_it_learns(exudates: Path, tmp_path: Path, tiny_ss_maf: Make) -> None:
    settings = ("optim.epochs=12", "aug.p=0.0", "run.val_every=12", "net.base=8", "optim.batch=1", "optim.lr=0.02")
    run = trainer.train(tiny_ss_maf(*settings), exudates, tmp_path / "run", val=exudates).path
    assert float(rows(run, "validation.csv")[-1]["iou"]) > 0.5


def test_a_fold_is_held_out(exudates: Path, tmp_path: Path, tiny_ss_maf: Make) -> None:
    task = SsMafTask(tiny_ss_maf("split.fold=0", "run.val_images=0"))
    task.prepare(exudates, None, tmp_path)
    hashes = task.hashes()
    assert len(hashes["val"]) == 2
    assert sorted([*hashes["train"], *hashes["val"]]) == [f"eye{index}" for index in range(7)]
    with pytest.raises(UsageError, match=r"--val: got split.fold 0; expected either"):
        task.prepare(exudates, exudates, tmp_path)


def test_refusals(exudates: Path, tmp_path: Path, tiny_ss_maf: Make) -> None:
    with pytest.raises(InvalidInput, match=r"got 7 training images, 1 times .*expected at least one batch, 8; "):
        trainer.train(tiny_ss_maf("optim.batch=8"), exudates, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run = trainer.train(tiny_ss_maf(), exudates, tmp_path / "run", limits=trainer.Limits(1)).path
    with pytest.raises(ResumeError, match="got a run of ss-maf; expected cmwnet; train ss-maf --resume"):
        trainer.resume(run, system="cmwnet")
    last = run / "checkpoints" / "last.safetensors"
    with pytest.raises(UsageError, match=r"--init: got weights of another network: .*set the same net"):
        trainer.train(tiny_ss_maf("net.k=2"), exudates, tmp_path / "other", init=[last])
    again = trainer.train(tiny_ss_maf(), exudates, tmp_path / "again", init=[last], limits=trainer.Limits(1)).path
    assert len(json.loads((again / "run.json").read_text())["init"]) == 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (("data.lr=[40, 60]", "data.hr=[80, 120]"), r"data\.lr: got \(40, 60\); expected multiples of 16"),
        (("data.hr=[32, 48]",), r"data\.hr: got \(32, 48\); expected \(64, 96\): data.lr times net.up"),
        (("net.in_channels=1",), r"net\.in_channels: got 1"),
        (("optim.momentum=1.0",), r"optim\.momentum: got 1.0"),
        (("optim.lr=0",), r"optim\.lr: got 0"),
        (("optim.grad_clip=0",), r"optim\.grad_clip: got 0"),
        (("optim.poly=-1",), r"optim\.poly: got -1"),
        (("run.keep_mib=-1",), r"run\.keep_mib: got -1; expected 0 or more"),
        (("camera.reflex=300",), r"camera\.reflex: got 300"),
    ],
)
def test_refused_configuration(tiny_ss_maf: Make, settings: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        tiny_ss_maf(*settings)


def test_the_command(exudates: Path, tmp_path: Path) -> None:
    settings = [word for setting in TINY_SS_MAF for word in ("--set", setting)]
    arguments = ["ss-maf", "--data", str(exudates), "-o", str(tmp_path / "run"), "--max-steps", "1", "--no-progress"]
    result = CliRunner().invoke(train_command, [*arguments, *settings], catch_exceptions=False)
    assert result.exit_code == 0
    assert (tmp_path / "run" / "checkpoints" / "last.safetensors").is_file()
    shown = CliRunner().invoke(train_command, ["ss-maf", "-o", "x", "--print-config"], catch_exceptions=False)
    assert json.loads(shown.output)["optim"]["nesterov"] is True
    with pytest.raises(FundusRTError, match="cmwnet"):
        CliRunner().invoke(train_command, ["cmwnet", "-o", str(tmp_path / "run"), "--resume"], catch_exceptions=False)
