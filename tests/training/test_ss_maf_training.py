"""SS-MAF runs: what they leave on disk, exact continuation, the order of the data, refusals."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from fundusrt.errors import FundusRTError, InvalidInput, UsageError
from fundusrt_training import trainer
from fundusrt_training.checkpoints import load_checkpoint, read_metadata
from fundusrt_training.cli import train as train_command
from fundusrt_training.configuration import apply_settings
from fundusrt_training.errors import ResumeError
from fundusrt_training.systems.ss_maf import SsMafModule
from fundusrt_training.systems.ss_maf_config import SsMafConfig
from fundusrt_training.systems.ss_maf_task import SsMafTask

TINY = (
    "net.base=4",
    "net.d=8",
    "data.hr=[64, 96]",
    "data.lr=[32, 48]",
    "optim.epochs=2",
    "optim.batch=2",
    "run.val_images=2",
)
Make = Callable[..., SsMafConfig]


@pytest.fixture
def tiny() -> Make:
    return lambda *settings: apply_settings(SsMafConfig(), [*TINY, *settings])


@pytest.fixture
def exudates(tmp_path: Path) -> Path:
    """Seven photographs with yellow discs, at several sizes, as plain folders."""
    random = np.random.default_rng(0)
    for index in range(7):
        height, width = 60 + 4 * index, 90 + 6 * index
        y, x = np.mgrid[:height, :width]
        mask = (y - random.uniform(15, 45)) ** 2 + (x - random.uniform(20, 70)) ** 2 < 80
        pixels = np.dstack([np.where(mask, 230, 150), np.where(mask, 200, 70), np.full(mask.shape, 40)])
        for part, array in (("images", pixels), ("masks", mask * 255)):
            (tmp_path / "data" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / "data" / part / f"eye{index}.png")
    return tmp_path / "data"


def rows(run: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    found = list(csv.DictReader((run / name).read_text().splitlines()))
    for row in found:
        row.pop("seconds")
    return found


def test_a_run_leaves_everything_that_is_needed(exudates: Path, tmp_path: Path, tiny: Make) -> None:
    run = trainer.train(tiny(), exudates, tmp_path / "run", val=exudates).path
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


@pytest.mark.parametrize("settings", [(), ("net.stream=unet",), ("run.precision=bf16",)])
def test_interrupted_and_continued_equals_uninterrupted(
    exudates: Path, tmp_path: Path, tiny: Make, settings: tuple[str, ...]
) -> None:
    whole = trainer.train(tiny(*settings), exudates, tmp_path / "whole").path
    parts = tmp_path / "parts"
    trainer.train(tiny(*settings), exudates, parts, limits=trainer.Limits(2))
    for steps in (4, None):
        trainer.resume(parts, system="ss-maf", limits=trainer.Limits(steps))
    assert rows(parts) == rows(whole)
    ours, theirs = (load_checkpoint(run / "checkpoints" / "last.safetensors")[0] for run in (parts, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_every_image_comes_once_an_epoch_in_an_order_of_its_own(exudates: Path, tmp_path: Path, tiny: Make) -> None:
    task = SsMafTask(tiny("optim.batch=1"))
    task.prepare(exudates, None, tmp_path)
    orders = [[batch["name"][0] for batch in task.loader(epoch, 0)] for epoch in (0, 1, 0)]
    assert all(sorted(order) == [f"eye{index}" for index in range(7)] for order in orders)
    assert orders[0] == orders[2] != orders[1]
    assert [batch["name"][0] for batch in task.loader(0, 4)] == orders[0][4:]


def test_it_learns(exudates: Path, tmp_path: Path, tiny: Make) -> None:
    settings = ("optim.epochs=12", "aug.p=0.0", "run.val_every=12", "net.base=8", "optim.batch=1", "optim.lr=0.02")
    run = trainer.train(tiny(*settings), exudates, tmp_path / "run", val=exudates).path
    assert float(rows(run, "validation.csv")[-1]["iou"]) > 0.5


def test_a_fold_is_held_out(exudates: Path, tmp_path: Path, tiny: Make) -> None:
    task = SsMafTask(tiny("split.fold=0", "run.val_images=0"))
    task.prepare(exudates, None, tmp_path)
    hashes = task.hashes()
    assert len(hashes["val"]) == 2
    assert sorted([*hashes["train"], *hashes["val"]]) == [f"eye{index}" for index in range(7)]
    with pytest.raises(UsageError, match=r"--val: got split.fold 0; expected either"):
        task.prepare(exudates, exudates, tmp_path)


def test_refusals(exudates: Path, tmp_path: Path, tiny: Make) -> None:
    with pytest.raises(InvalidInput, match=r"got 7 training images; expected at least one batch, 8; lower optim.batch"):
        trainer.train(tiny("optim.batch=8"), exudates, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run = trainer.train(tiny(), exudates, tmp_path / "run", limits=trainer.Limits(1)).path
    with pytest.raises(ResumeError, match="got a run of ss-maf; expected cmwnet; train ss-maf --resume"):
        trainer.resume(run, system="cmwnet")
    last = run / "checkpoints" / "last.safetensors"
    with pytest.raises(UsageError, match=r"--init: got weights of another network: .*set the same net"):
        trainer.train(tiny("net.k=2"), exudates, tmp_path / "other", init=[last])
    again = trainer.train(tiny(), exudates, tmp_path / "again", init=[last], limits=trainer.Limits(1)).path
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
    ],
)
def test_refused_configuration(tiny: Make, settings: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        tiny(*settings)


def test_the_command(exudates: Path, tmp_path: Path) -> None:
    settings = [word for setting in TINY for word in ("--set", setting)]
    arguments = ["ss-maf", "--data", str(exudates), "-o", str(tmp_path / "run"), "--max-steps", "1", "--no-progress"]
    result = CliRunner().invoke(train_command, [*arguments, *settings], catch_exceptions=False)
    assert result.exit_code == 0
    assert (tmp_path / "run" / "checkpoints" / "last.safetensors").is_file()
    shown = CliRunner().invoke(train_command, ["ss-maf", "-o", "x", "--print-config"], catch_exceptions=False)
    assert json.loads(shown.output)["optim"]["nesterov"] is True
    with pytest.raises(FundusRTError, match="cmwnet"):
        CliRunner().invoke(train_command, ["cmwnet", "-o", str(tmp_path / "run"), "--resume"], catch_exceptions=False)
