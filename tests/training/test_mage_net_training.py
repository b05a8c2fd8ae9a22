"""MAGE-Net runs: what they leave on disk, exact continuation, the teacher's path, validation, refusals."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training import trainer
from fundusrt_training.checkpoints import load_checkpoint, read_metadata, save_checkpoint
from fundusrt_training.cli import train as train_command
from fundusrt_training.systems.mage_net import MageNetModule
from fundusrt_training.systems.mage_net_config import MageNetConfig
from fundusrt_training.systems.mage_net_task import MageNetTask
from fundusrt_training.systems.resumable import part_of
from fundusrt_training.systems.vessel import VesselModule
from fundusrt_training.systems.vessel_config import VesselConfig
from tests.training.tiny_mage_net import TINY, save_eyes, tiny_config


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good photographs with vessels and three bad ones. Not to be changed."""
    return save_eyes(tmp_path_factory.mktemp("enhancement"))


def rows(run: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    found = list(csv.DictReader((run / name).read_text().splitlines()))
    for row in found:
        row.pop("seconds")
    return found


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints" / f"{name}.safetensors")[0]


def test_a_run_leaves_everything_that_is_needed(eyes: Path, cache: Path, tmp_path: Path) -> None:
    run = trainer.train(tiny_config(), eyes, tmp_path / "run", val=eyes, cache=cache).path
    found = rows(run)
    assert [int(row["step"]) for row in found] == [1, 2, 3, 4]  # 5 images, 2 whole batches an epoch
    for row in found:
        value = {name: float(text) for name, text in row.items()}
        assert value["sup"] == pytest.approx(value["stage1"] + value["stage2"] + 0.5 * value["seg"], rel=1e-5)
        assert value["loss"] == pytest.approx(value["sup"] + value["mu"] * value["con"], rel=1e-5)
    assert float(found[0]["lr"]) == pytest.approx(2e-4)
    assert float(found[2]["lr"]) == pytest.approx((2e-4 + 1e-6) / 2)
    scores = rows(run, "validation.csv")
    assert set(scores[0]) == {"step", "epoch", "psnr", "ssim", "input_psnr", "input_ssim", "eye0", "eye1"}
    assert float(scores[0]["psnr"]) == pytest.approx((float(scores[0]["eye0"]) + float(scores[0]["eye1"])) / 2)
    data = json.loads((run / "data.json").read_text())
    assert set(data["train"]) == {f"eye{index}" for index in range(5)}
    assert set(data["train"]["eye0"]) == {"image", "vessels"}
    assert set(data["unlabelled"]) == {"bad0", "bad1", "bad2"}
    state, config = load_checkpoint(run / "checkpoints" / "last.safetensors")
    assert read_metadata(run / "checkpoints" / "last.safetensors")["system"] == "mage-net"
    assert {name.partition(".")[0] for name in state} == {"student", "teacher"}
    MageNetModule(MageNetConfig.from_dict(config)).load_weights(state)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("teacher.enabled=false", "loss.seg_weight=0", "run.channels_last=true"),
        ("data.passes=2", "data.labelled=5", "data.degradations=2", "run.precision=bf16"),
    ],
)
def test_interrupted_and_continued_equals_uninterrupted(
    eyes: Path, cache: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    whole = trainer.train(tiny_config(*settings), eyes, tmp_path / "whole", cache=cache).path
    parts = tmp_path / "parts"
    trainer.train(tiny_config(*settings), eyes, parts, cache=cache, limits=trainer.Limits(1))
    for steps in (3, None):  # in the middle of the second epoch, to the end
        trainer.resume(parts, system="mage-net", cache=cache, limits=trainer.Limits(steps))
    assert rows(parts) == rows(whole)
    for name in ("last", "resume"):
        ours, theirs = weights(parts, name), weights(whole, name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_teacher_is_the_mean_of_the_students_at_first(eyes: Path, cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer.train(tiny_config("optim.lr=0.01"), eyes, run, cache=cache, limits=trainer.Limits(1))
    students = [part_of(weights(run), "student")]
    for step in (2, 3):
        trainer.resume(run, cache=cache, limits=trainer.Limits(step))
        students.append(part_of(weights(run), "student"))
    teacher = part_of(weights(run), "teacher")
    moved = 0.0
    for name, value in teacher.items():
        mean = torch.stack([student[name] for student in students]).mean(dim=0)
        torch.testing.assert_close(value, mean, rtol=1e-5, atol=1e-7)
        moved = max(moved, float((value - students[-1][name]).abs().max()))
    assert moved > 1e-3


def test_more_passes_than_one_in_an_epoch(eyes: Path, cache: Path, tmp_path: Path) -> None:
    task = MageNetTask(tiny_config("data.passes=3", "data.labelled=7", "data.unlabelled=0"))
    task.prepare(eyes, None, cache)
    assert task.steps_per_epoch == 2  # 15 of five photographs; the last one is dropped
    (first, second) = task.loader(0, 0)
    names = [*first["name"], *second["name"]]
    assert [sorted(names[start : start + 5]) for start in (0, 5)] == [[f"eye{index}" for index in range(5)]] * 2
    assert [batch["name"] for batch in task.loader(0, 1)] == [second["name"]]


def test_the_structure_module_may_begin_as_the_vessel_network(tmp_path: Path) -> None:
    vessel = VesselModule(VesselConfig(net=tiny_config().net.rsp))
    file = tmp_path / "vessel.safetensors"
    save_checkpoint(file, vessel.weights(), vessel.config.to_dict(), system="vessel")
    settings = (f"data.vessel_checkpoint={file}", "data.vessels_first=true")
    found = part_of(MageNetTask(tiny_config(*settings)).module.weights(), "student.rsp")
    expected = part_of(vessel.weights(), "network")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    MageNetTask(tiny_config(*settings, "net.use_rsp=false"))  # nothing to begin: no structure module


def test_a_run_begins_with_a_vessel_network(eyes: Path, cache: Path, tmp_path: Path) -> None:
    vessel = VesselModule(VesselConfig(net=tiny_config().net.rsp))
    file = tmp_path / "vessel.safetensors"
    save_checkpoint(file, vessel.weights(), vessel.config.to_dict(), system="vessel")
    # Next to nothing is learned at this rate, so the weights after a step are those it began with.
    config = tiny_config("optim.lr=1e-30", "optim.lr_min=0")
    run = trainer.train(config, eyes, tmp_path / "run", init=[file], cache=cache, limits=trainer.Limits(1)).path
    for part in ("student", "teacher"):
        found = part_of(weights(run), f"{part}.rsp")
        assert found.keys() == part_of(vessel.weights(), "network").keys()
        for name, value in part_of(vessel.weights(), "network").items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-20)
    save_checkpoint(file, vessel.weights(), vessel.config.to_dict(), system="ss-maf")
    with pytest.raises(UsageError, match="--init: got weights of system ss-maf; expected mage-net; give a checkpoint"):
        trainer.train(config, eyes, tmp_path / "other", init=[file], cache=cache)


def test_validation_images_are_the_same_in_every_run(eyes: Path, cache: Path) -> None:
    found = []
    for seed in (0, 1):
        task = MageNetTask(tiny_config(f"run.seed={seed}", "run.val_images=0"))
        task.prepare(eyes, eyes, cache)
        found.append(task.validate())
    assert found[0].further["input_psnr"] == found[1].further["input_psnr"] < 100.0
    assert found[0].score != found[1].score
    picture = found[0].picture
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (96, 3 * 96, 3)  # degraded, enhanced, good


def test_every_good_image_comes_once_an_epoch_and_bad_ones_in_passes(eyes: Path, cache: Path) -> None:
    task = MageNetTask(tiny_config("data.labelled=1", "data.unlabelled=2", "data.flip=0"))
    task.prepare(eyes, None, cache)
    names, bad = [], []
    for batch in task.loader(0, 0):
        names += batch["name"]
        bad += [each.numpy().tobytes() for each in batch["unlabelled"]]
    assert sorted(names) == [f"eye{index}" for index in range(5)]
    assert [len(set(bad[start : start + 3])) for start in (0, 3, 6)] == [3, 3, 3]
    assert len(bad) == 10
    rest = [batch["name"][0] for batch in task.loader(0, 3)]
    assert rest == names[3:]
    first, other = (next(iter(task.loader(epoch, 0))) for epoch in (0, 1))
    assert not torch.equal(first["image"], other["image"])


def test_without_a_teacher_bad_photographs_stay_out(eyes: Path, cache: Path) -> None:
    task = MageNetTask(tiny_config("teacher.enabled=false"))
    task.prepare(eyes, None, cache)
    assert "unlabelled" not in next(iter(task.loader(0, 0)))
    assert task.summary() == "5 good images, 0 bad ones, 0 for validation"
    assert task.hashes()["unlabelled"] == {}


def test_refusals(eyes: Path, cache: Path, tmp_path: Path) -> None:
    lone = save_eyes(tmp_path / "lone", vessels=False, unlabelled=0)
    off = ("teacher.enabled=false", "loss.seg_weight=0")
    for data, settings, text in (
        (eyes / "clean", (), "got eye0.png, eye1.png, eye2.png, eye3.png, eye4.png; expected `clean/` with good"),
        (lone, (), "got no unlabelled/; expected real photographs of low quality in it"),
        (lone, ("data.unlabelled=0",), "got no vessels/; expected the vessels of good photographs from one source"),
        (eyes, ("data.vessel_checkpoint=v",), "got vessels/ and data.vessel_checkpoint v; expected the vessels of"),
        (eyes, ("data.labelled=6",), "got 5 training images; expected at least one batch, 6; lower data.labelled"),
    ):
        with pytest.raises((InvalidInput, UsageError), match=re.escape(text)):
            trainer.train(tiny_config(*settings), data, tmp_path / "run", cache=cache)
    with pytest.raises(UsageError, match="either a validation folder or a fold"):
        trainer.train(tiny_config("split.fold=0"), eyes, tmp_path / "run", val=eyes, cache=cache)
    assert not (tmp_path / "run").exists()
    for settings in (off, ("data.unlabelled=0", "loss.seg_weight=0"), ("data.unlabelled=0", "net.use_rsp=false")):
        MageNetTask(tiny_config(*settings)).prepare(lone, None, cache)


def test_the_command_and_the_suggested_configuration(eyes: Path, cache: Path, tmp_path: Path) -> None:
    settings = [word for setting in TINY for word in ("--set", setting)]
    arguments = ["mage-net", "--data", str(eyes), "-o", str(tmp_path / "run"), "--cache", str(cache), "--no-progress"]
    done = CliRunner().invoke(train_command, [*arguments, "--max-steps", "1", *settings], catch_exceptions=False)
    assert done.exit_code == 0
    assert (tmp_path / "run" / "checkpoints" / "last.safetensors").is_file()
    files = sorted((Path(__file__).parents[2] / "training" / "configs").glob("enhance*.json"))
    assert [file.name for file in files] == ["enhance-first.json", "enhance-second.json", "enhance.json"]
    networks = [MageNetConfig.from_dict(json.loads(file.read_text())).net for file in files]
    # Each begins with the weights of the one before, which may split the image otherwise.
    assert len({dataclasses.replace(network, split="none") for network in networks}) == 1


def test_the_configurations_for_a_gpu() -> None:
    folder = Path(__file__).parents[2] / "training" / "configs"
    table, shipped, vessel = (
        json.loads((folder / f"{name}-gpu.json").read_text()) for name in ("table-mage-6", "mage-net", "vessel")
    )
    # The table's structure module can begin as the vessel network.
    assert MageNetConfig.from_dict(table).net.rsp == VesselConfig.from_dict(vessel).net
    assert MageNetConfig.from_dict(shipped).net.split == "none"
