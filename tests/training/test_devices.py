"""Several processes that share each step: the same run as one process makes, to the rounding; stops, failures."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.utils.data import DataLoader

from fundusrt.errors import UsageError
from fundusrt_training import trainer
from fundusrt_training.checkpoints import load_checkpoint
from fundusrt_training.errors import TrainingDiverged, WorkerFailed
from fundusrt_training.hardware import Hardware
from fundusrt_training.rank_share import rank_share
from fundusrt_training.run_callbacks import StopInTime, StopOnInterrupt
from fundusrt_training.run_folder import RunFolder
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.systems.cmwnet_task import CmwnetTask
from fundusrt_training.systems.ss_maf_config import SsMafConfig

Make = Callable[..., CmwnetConfig]
TWO = Hardware("cpu", 2)


def rows(run: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((run / name).read_text().splitlines()))


def test_shares_are_the_plan_and_weights_make_the_mean_of_the_batch() -> None:
    batches = [[0, 1, 2, 3, 4], [5, 6], [7]]
    loader = DataLoader(list(range(8)), batch_sampler=batches)  # pyright: ignore
    parts = [rank_share(loader, rank, 3) for rank in range(3)]
    shares = [[batch.tolist() for batch in part] for part, _ in parts]
    assert shares == [[[0, 3], [5], [7]], [[1, 4], [6], [7]], [[2], [5], [7]]]
    for step, batch in enumerate(batches):
        mean = np.mean(
            [weights[step] * np.mean(share[step]) for share, (_, weights) in zip(shares, parts, strict=True)]
        )
        assert mean == pytest.approx(np.mean(batch))


@pytest.mark.parametrize("settings", [(), ("mode=crop",), ("ema.large_grad=false",)])
def test_the_losses_of_shares_add_up(folder: Path, cache: Path, tiny_config: Make, settings: tuple[str, ...]) -> None:
    """Gradients of two ranks' shares of 5 tiles, weighted, against those of the whole batch."""
    task = CmwnetTask(tiny_config("optim.batch=5", "optim.steps_per_epoch=1", *settings))
    task.prepare(folder, None, cache)
    module, loader = task.module, task.loader(0, 0)

    def gradients(parts: list[tuple[Any, float]]) -> torch.Tensor:
        module.zero_grad()
        for batch, weight in parts:
            (weight * module.losses(batch, beta=0.7)["loss"]).backward()
        return torch.cat([p.grad.flatten() for p in module.parameters() if isinstance(p.grad, torch.Tensor)])

    whole = gradients([(next(iter(loader)), 1.0)])
    parts = [rank_share(loader, rank, 2) for rank in range(2)]
    shared = gradients([(next(iter(part)), weights[0] / 2) for part, weights in parts])
    assert whole.abs().max() > 1e-3
    torch.testing.assert_close(shared, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_two_processes_train_as_one(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> None:
    # 18 tiles in batches of 5: the shares of a batch differ, and the last batch is short
    config = tiny_config("optim.batch=5", "optim.steps_per_epoch=null", "optim.grad_clip=1.0", "run.log_every=1")
    one = trainer.train(config, folder, tmp_path / "one", val=folder, cache=cache).path
    limits = trainer.Limits(steps=3)  # in the middle of the first epoch
    two = trainer.train(config, folder, tmp_path / "two", val=folder, cache=cache, hardware=TWO, limits=limits).path
    assert len(rows(two)) == 3
    trainer.resume(two, cache=cache, hardware=TWO)
    assert [row["step"] for row in rows(two)] == [row["step"] for row in rows(one)] == [str(i) for i in range(1, 9)]
    for ours, theirs in zip(rows(two), rows(one), strict=True):
        for name in ("loss", "L1", "L2", "L4", "lr", "beta"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=1e-3, abs=1e-6), (ours["step"], name)
    assert [row["step"] for row in rows(two, "validation.csv")] == ["3", "4", "8"]
    assert [row["step"] for row in rows(one, "validation.csv")] == ["4", "8"]
    ours, theirs = (load_checkpoint(run / "checkpoints" / "last.safetensors")[0] for run in (two, one))
    begun = CmwnetTask(config).module.weights()
    moved = max(float((theirs[name] - begun[name]).abs().max()) for name in theirs)
    apart = max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)
    assert apart < 0.01 * moved


@pytest.mark.slow
def test_a_failure_in_a_process_is_the_error_it_was(
    folder: Path, cache: Path, tmp_path: Path, tiny_config: Make
) -> None:
    config = tiny_config("optim.lr=1e30")
    with pytest.raises(TrainingDiverged, match=r"loss at step \d .*expected finite values; .*lower optim"):
        trainer.train(config, folder, tmp_path / "run", cache=cache, hardware=TWO)


def test_a_traceback_becomes_an_error(tmp_path: Path, monkeypatch: Any, folder: Path, tiny_config: Make) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ProcessRaisedException("\n-- Process 1 terminated:\nTraceback ...\nMemoryError: no room: 5 GB", 1, 7)

    monkeypatch.setattr(trainer.Trainer, "fit", fail)
    with pytest.raises(WorkerFailed, match="run: got MemoryError: no room: 5 GB; expected training in every process"):
        trainer.train(tiny_config(), folder, tmp_path / "run", cache=tmp_path / "cache")


@pytest.mark.parametrize("stop", [StopOnInterrupt(), StopInTime(60.0)])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_all_stop_when_one_wants_to(stop: StopOnInterrupt | StopInTime, elsewhere: bool) -> None:
    asked: list[tuple[bool, bool]] = []

    def decide(own: bool, all: bool) -> bool:
        asked.append((own, all))
        return own or elsewhere

    lightning: Any = SimpleNamespace(should_stop=False, strategy=SimpleNamespace(reduce_boolean_decision=decide))
    for wanted in (False, True):
        stop.wanted, lightning.should_stop = wanted, False
        stop.on_train_batch_end(lightning, torch.nn.Module(), None, None, 0)  # pyright: ignore
        assert lightning.should_stop is (wanted or elsewhere)
    assert asked == [(False, False), (True, False)]


def test_a_task_travels_without_its_open_maps(folder: Path, cache: Path, tiny_config: Make) -> None:
    task = CmwnetTask(tiny_config())
    task.prepare(folder, folder, cache)
    next(iter(task.loader(0, 0)))
    image = task._images[0]
    assert "grid" in image.__dict__
    copied = pickle.loads(pickle.dumps(task))
    assert not {"grid", "whole", "mask", "whole_mask"} & set(copied._images[0].__dict__)
    np.testing.assert_array_equal(copied._images[0].grid, image.grid)
    assert copied._plan.images[0] is copied._images[0]


def test_a_loss_that_is_no_mean_over_images_is_not_shared(
    tmp_path: Path, exudates: Path, tiny_ss_maf: Callable[..., SsMafConfig]
) -> None:
    with pytest.raises(UsageError, match=r"--devices 2: got system ss-maf, whose step is not a mean.*leave --devices"):
        trainer.train(tiny_ss_maf(), exudates, tmp_path / "run", hardware=TWO)
    assert not (tmp_path / "run").exists()
    run = trainer.train(tiny_ss_maf(), exudates, tmp_path / "run", limits=trainer.Limits(1))
    with pytest.raises(UsageError, match=r"--devices 2: got system ss-maf"):
        trainer.resume(RunFolder(run.path).path, hardware=TWO)


def test_gpus_that_are_not_there_are_refused(
    folder: Path, tmp_path: Path, tiny_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for count, accelerator, text in (
        (0, "gpu", "0 GPUs.*use --accelerator cpu"),
        (1, "auto", "1 GPUs.*use --devices 1"),
    ):
        monkeypatch.setattr(torch.accelerator, "device_count", lambda count=count: count)
        with pytest.raises(UsageError, match=rf"--accelerator {accelerator} --devices 2: got {text}"):
            trainer.train(tiny_config(), folder, tmp_path / "run", hardware=Hardware(accelerator, 2))
    assert not (tmp_path / "run").exists()
