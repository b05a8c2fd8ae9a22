"""Vessel runs: what they leave on disk, exact continuation, learning, refusals."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training import trainer
from fundusrt_training.checkpoints import load_checkpoint, read_metadata
from fundusrt_training.cli import train as train_command
from fundusrt_training.configuration import apply_settings
from fundusrt_training.systems.vessel import VesselModule, vessel_probability
from fundusrt_training.systems.vessel_config import VesselConfig
from fundusrt_training.systems.vessel_task import VesselTask
from tests.training.synthetic_eye import save_eye

TINY = (
    "net.base=2",
    "net.gn_groups=2",
    "data.side=112",
    "data.crop=96",
    "data.batch=2",
    "optim.epochs=2",
    "run.val_images=2",
    "run.channels_last=false",
)
Make = Callable[..., VesselConfig]


@pytest.fixture
def tiny() -> Make:
    return lambda *settings: apply_settings(VesselConfig(), [*TINY, *settings])


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five eyes with their vessels, as plain folders. Not to be changed."""
    root = tmp_path_factory.mktemp("vessels")
    for seed in range(5):
        save_eye(seed, root / "images" / f"eye{seed}.png", root / "masks" / f"eye{seed}.png")
    return root


def rows(run: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    found = list(csv.DictReader((run / name).read_text().splitlines()))
    for row in found:
        row.pop("seconds")
    return found


def test_a_run_leaves_everything_that_is_needed(eyes: Path, cache: Path, tmp_path: Path, tiny: Make) -> None:
    run = trainer.train(tiny(), eyes, tmp_path / "run", val=eyes, cache=cache).path
    found = rows(run)
    assert [int(row["step"]) for row in found] == [1, 2, 3, 4]  # 5 images, 2 whole batches an epoch
    for row in found:
        parts = sum(float(row[name]) for name in ("side1", "side2", "side3", "side4", "average"))
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-5)
    rates = [float(row["lr"]) for row in found]
    assert rates[0] == pytest.approx(1.5e-3)
    assert rates[2] == pytest.approx((1.5e-3 + 1e-6) / 2)
    scores = rows(run, "validation.csv")
    assert set(scores[0]) == {"step", "epoch", "auc", "dice", "iou", "eye0", "eye1"}
    assert float(scores[0]["auc"]) == pytest.approx((float(scores[0]["eye0"]) + float(scores[0]["eye1"])) / 2)
    state, config = load_checkpoint(run / "checkpoints" / "last.safetensors")
    assert read_metadata(run / "checkpoints" / "last.safetensors")["system"] == "vessel"
    VesselModule(VesselConfig.from_dict(config)).load_weights(state)
    assert set(json.loads((run / "data.json").read_text())["train"]) == {f"eye{index}" for index in range(5)}


def test_interrupted_and_continued_equals_uninterrupted(eyes: Path, cache: Path, tmp_path: Path, tiny: Make) -> None:
    whole = trainer.train(tiny(), eyes, tmp_path / "whole", cache=cache).path
    parts = tmp_path / "parts"
    trainer.train(tiny(), eyes, parts, cache=cache, limits=trainer.Limits(1))
    for steps in (3, None):  # in the middle of the second epoch, to the end
        trainer.resume(parts, system="vessel", cache=cache, limits=trainer.Limits(steps))
    assert rows(parts) == rows(whole)
    ours, theirs = (load_checkpoint(run / "checkpoints" / "last.safetensors")[0] for run in (parts, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_it_learns(eyes: Path, cache: Path, tmp_path: Path, tiny: Make) -> None:
    still = ("aug.flip=0", "aug.rotate=0", "aug.zoom=0", "aug.jitter=[0,0,0,0]")
    settings = (*still, "net.base=4", "data.batch=1", "optim.epochs=12", "optim.lr=0.004", "run.val_every=12")
    run = trainer.train(tiny(*settings), eyes, tmp_path / "run", val=eyes, cache=cache).path
    assert float(rows(run, "validation.csv")[-1]["auc"]) > 0.85


def test_every_image_comes_once_an_epoch_in_an_order_of_its_own(
    eyes: Path, cache: Path, tmp_path: Path, tiny: Make
) -> None:
    task = VesselTask(tiny("data.batch=1"))
    task.prepare(eyes, None, cache)
    orders = [[batch["name"][0] for batch in task.loader(epoch, 0)] for epoch in (0, 1, 0)]
    assert all(sorted(order) == [f"eye{index}" for index in range(5)] for order in orders)
    assert orders[0] == orders[2] != orders[1]
    assert [batch["name"][0] for batch in task.loader(0, 3)] == orders[0][3:]
    assert not torch.equal(next(iter(task.loader(0, 0)))["image"], next(iter(task.loader(1, 0)))["image"])


def test_the_probability_is_the_average_outputs_second_class(tiny: Make) -> None:
    network, image = VesselModule(tiny()).network, torch.rand(2, 3, 96, 96)
    found = vessel_probability(network, image)
    assert network.training
    expected = network(image).maps[4].softmax(dim=1)[:, 1]
    torch.testing.assert_close(found, expected.detach())


def test_refusals(eyes: Path, cache: Path, tmp_path: Path, tiny: Make) -> None:
    with pytest.raises(InvalidInput, match=r"got 5 training images; expected at least one batch, 6; lower data.batch"):
        trainer.train(tiny("data.batch=6"), eyes, tmp_path / "run", cache=cache)
    with pytest.raises(InvalidInput, match=r"got eye0.png, eye1.png.* expected one of `training/`"):
        trainer.train(tiny(), eyes / "images", tmp_path / "run", cache=cache)
    with pytest.raises(UsageError, match="either a validation folder or a fold"):
        trainer.train(tiny("split.fold=0"), eyes, tmp_path / "run", val=eyes, cache=cache)
    assert not (tmp_path / "run").exists()
    run = trainer.train(tiny(), eyes, tmp_path / "run", cache=cache, limits=trainer.Limits(1)).path
    last = run / "checkpoints" / "last.safetensors"
    with pytest.raises(UsageError, match=r"--init: got weights of another network: .*set the same net"):
        trainer.train(tiny("net.radius=1"), eyes, tmp_path / "other", init=[last], cache=cache)
    again = trainer.train(tiny(), eyes, tmp_path / "again", init=[last], cache=cache, limits=trainer.Limits(1)).path
    assert len(json.loads((again / "run.json").read_text())["init"]) == 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (("data.side=100", "data.crop=null"), r"data\.side: got 100; expected a multiple of 16, at least 96 px"),
        (("data.crop=80",), r"data\.crop: got 80; expected a multiple of 16, at least 96 px"),
        (("data.crop=128",), r"data\.crop: got 128; expected at most data.side 112"),
        (("data.batch=0",), r"data\.batch: got 0"),
        (("net.base=3",), r"AG-Net base: got 3 channels with gn_groups 2"),
        (("net.in_channels=1",), r"net\.in_channels: got 1"),
        (("net.classes=3",), r"net\.classes: got 3; expected 2: background and vessel"),
        (("data.passes=0",), r"data\.passes: got 0"),
        (("optim.lr=0",), r"optim\.lr: got 0"),
        (("optim.lr_min=1",), r"optim\.lr_min: got 1"),
        (("optim.betas=[0.9,1.0]",), r"optim\.betas: got \(0.9, 1.0\)"),
        (("optim.wd=-1",), r"optim\.wd: got -1"),
        (("optim.epochs=0",), r"optim\.epochs: got 0"),
        (("optim.grad_clip=0",), r"optim\.grad_clip: got 0"),
    ],
)
def test_refused_configuration(tiny: Make, settings: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        tiny(*settings)


def test_the_command_and_the_suggested_configuration(eyes: Path, cache: Path, tmp_path: Path) -> None:
    settings = [word for setting in TINY for word in ("--set", setting)]
    arguments = ["vessel", "--data", str(eyes), "-o", str(tmp_path / "run"), "--cache", str(cache), "--no-progress"]
    done = CliRunner().invoke(train_command, [*arguments, "--max-steps", "1", *settings], catch_exceptions=False)
    assert done.exit_code == 0
    assert (tmp_path / "run" / "checkpoints" / "last.safetensors").is_file()
    file = Path(__file__).parents[2] / "training" / "configs" / "vessel.json"
    VesselConfig.from_dict(json.loads(file.read_text()))
