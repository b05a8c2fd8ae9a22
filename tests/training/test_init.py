"""Runs that begin with trained weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fundusrt.errors import UsageError
from fundusrt_training.checkpoints import save_checkpoint
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.trainer import Limits, train

Make = Callable[..., CmwnetConfig]


def _same(module: CmwnetModule, other: CmwnetModule, branch: str) -> bool:
    theirs = other.weights()
    mine = {name: value for name, value in module.weights().items() if name.startswith(f"{branch}.")}
    return all(torch.allclose(value, theirs[name], rtol=0, atol=1e-20) for name, value in mine.items())


@pytest.mark.parametrize(
    ("mode", "branches"), [("cmwnet", {"large", "small"}), ("crop", {"small"}), ("down", {"large"})]
)
def test_a_mode_takes_the_branches_it_has(tiny_config: Make, mode: str, branches: set[str]) -> None:
    before = CmwnetModule(tiny_config("run.seed=7"))
    module = CmwnetModule(tiny_config(f"mode={mode}"))
    assert not any(_same(module, before, branch) for branch in branches)
    module.start_from(before.weights(), before.config)
    assert {name.split(".")[0] for name in module.weights()} == branches
    assert all(_same(module, before, branch) for branch in branches)


def test_a_branch_without_weights_keeps_its_own(tiny_config: Make) -> None:
    crop, fresh = CmwnetModule(tiny_config("mode=crop", "run.seed=7")), CmwnetModule(tiny_config())
    module = CmwnetModule(tiny_config())
    module.start_from(crop.weights(), crop.config)
    assert _same(module, fresh, "large")
    assert not _same(module, fresh, "small")


def test_what_does_not_fit_is_refused(tiny_config: Make) -> None:
    module = CmwnetModule(tiny_config("mode=crop"))
    down = CmwnetModule(tiny_config("mode=down"))
    with pytest.raises(UsageError, match="--init: got no weights for mode crop; expected weights of at least one"):
        module.start_from(down.weights(), down.config)
    other = dataclasses.replace(down.config, unet=dataclasses.replace(down.config.unet, skip="concat"))
    with pytest.raises(UsageError, match=r"--init: got weights of another network: .*skip='concat'.*set the same unet"):
        module.start_from({}, other)
    with pytest.raises(UsageError, match="--init: got weights of another network: unet,"):
        module.start_from({}, dataclasses.replace(down.config, backbone="unet"))


def test_the_form_of_the_wavelet_may_differ(tiny_config: Make) -> None:
    before = CmwnetModule(tiny_config("unet.wavelet_form=library", "run.seed=7"))
    module = CmwnetModule(tiny_config("unet.wavelet_form=haar_identity"))
    module.start_from(before.weights(), before.config)
    assert _same(module, before, "large")


def test_a_run_takes_each_branch_from_the_last_checkpoint_that_has_it(
    tiny_config: Make, folder: Path, cache: Path, tmp_path: Path
) -> None:
    both, crop = CmwnetModule(tiny_config("run.seed=7")), CmwnetModule(tiny_config("mode=crop", "run.seed=8"))
    files = [tmp_path / "both.safetensors", tmp_path / "crop.safetensors"]
    for file, module in zip(files, (both, crop), strict=True):
        save_checkpoint(file, module.weights(), module.config.to_dict())
    # Next to nothing is learned at this rate, so the weights after a step are those it began with.
    run = train(
        tiny_config("optim.lr=1e-30", "optim.eta_min=0", "ema.every=epoch"),
        folder,
        tmp_path / "run",
        init=files,
        cache=cache,
        limits=Limits(steps=1),
    )
    after = CmwnetModule(run.config())
    run.load_model(after)
    assert _same(after, both, "large")
    assert _same(after, crop, "small")
    with pytest.raises(UsageError, match=r"got a file to resume from, .*; take last\.safetensors"):
        train(run.config(), folder, tmp_path / "again", init=[run.resume_file], cache=cache)
    recorded = json.loads((run.path / "run.json").read_text())["init"]
    assert [Path(each["path"]).name for each in recorded] == ["both.safetensors", "crop.safetensors"]
    assert all(len(each["sha256"]) == 64 for each in recorded)


def test_branches_can_start_alike(tiny_config: Make) -> None:
    for start, alike in (("same", True), ("own", False)):
        module = CmwnetModule(tiny_config(f"ema.start={start}"))
        large, small = (
            {name.removeprefix(f"{branch}."): v for name, v in module.weights().items() if name.startswith(branch)}
            for branch in ("large", "small")
        )
        assert large.keys() == small.keys()
        assert all(torch.equal(value, small[name]) for name, value in large.items()) is alike
        alone = CmwnetModule(tiny_config(f"ema.start={start}", "mode=down"))
        assert _same(alone, module, "large")
