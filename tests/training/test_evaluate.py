"""Evaluation: the deployed pipeline's masks, the intervals, the report and both commands."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional as F

from fundusrt.errors import InvalidInput, UsageError
from fundusrt.fusion import fuse
from fundusrt.image import read_image
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole, to_tensor
from fundusrt_training import cli, trainer
from fundusrt_training.bootstrap import bootstrap_interval
from fundusrt_training.checkpoints import load_checkpoint, save_checkpoint
from fundusrt_training.data.folder import read_folder, read_mask
from fundusrt_training.evaluate import evaluate, open_candidate
from fundusrt_training.evaluation_report import write_report
from fundusrt_training.metrics import score
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.systems.registry import DATA_LAYOUTS, SYSTEMS

Make = Callable[..., CmwnetConfig]


@pytest.fixture(scope="module")
def run(folder: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory, tiny_config: Make) -> Path:
    out = tmp_path_factory.mktemp("runs") / "both"
    config = tiny_config("optim.steps_per_epoch=15", "prep.clahe.clip=2", "prep.clahe.grid=4")
    return trainer.train(config, folder, out, val=folder, cache=cache).path


@pytest.fixture(scope="module")
def crop(folder: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory, tiny_config: Make) -> Path:
    return trainer.train(tiny_config("mode=crop"), folder, tmp_path_factory.mktemp("runs") / "crop", cache=cache).path


def last(run: Path) -> Path:
    return run / "checkpoints" / "last.safetensors"


def by_hand(checkpoint: Path, image_file: Path, mode: str) -> np.ndarray:
    """The system step by step in plain torch: both branches, up-sampling, fusion."""
    state, data = load_checkpoint(checkpoint)
    module = CmwnetModule(CmwnetConfig.from_dict(data))
    module.load_weights(state)
    config = module.config
    image = read_image(image_file)
    enhanced = enhance(image, config.preprocess_spec())
    grid = fit_to_grid(enhanced, config.tile_spec())
    canvas = torch.zeros(1, 1, *grid.shape[:2])
    with torch.no_grad():
        for y in range(0, grid.shape[0], 32):
            for x in range(0, grid.shape[1], 32):
                tile = to_tensor(np.ascontiguousarray(grid[y : y + 32, x : x + 32]), config.preprocess_spec())
                canvas[..., y : y + 32, x : x + 32] = torch.sigmoid(module.small(torch.from_numpy(tile)[None]))  # pyright: ignore
        whole = to_tensor(shrink_whole(enhanced, config.whole_spec()), config.preprocess_spec())
        p_large = torch.sigmoid(module.large(torch.from_numpy(whole)[None]))  # pyright: ignore
    size = (image.height, image.width)
    large, small = (
        F.interpolate(p, size=size, mode="bilinear", align_corners=False)[0, 0].numpy() for p in (p_large, canvas)
    )
    p = {"cmwnet": fuse(large, small, config.postprocess_spec()), "crop": small, "down": large}[mode]
    return p * image.fov


@pytest.mark.parametrize("mode", ["cmwnet", "crop", "down"])
def test_scores_are_those_of_the_system_by_hand(run: Path, folder: Path, cache: Path, mode: str) -> None:
    rows = evaluate([open_candidate(f"x={last(run)}", [mode])], folder, cache=cache)
    for case in read_folder(folder):
        p = by_hand(last(run), case.image, mode)
        expected = score(p >= 0.5, read_mask(case.mask))
        # a pixel whose probability is 0.5 up to the rounding of the up-sampling may fall either way
        undecided = int((abs(p - 0.5) < 1e-5).sum())
        ours = rows[0].scores[case.name]
        if undecided == 0:
            assert ours == expected
        assert ours.dice == pytest.approx(expected.dice, abs=1e-6 + undecided * 0.01)


def test_modes_and_settings_make_rows(run: Path, crop: Path, folder: Path, cache: Path, tmp_path: Path) -> None:
    modes = ("cmwnet", "crop", "down")
    rows = evaluate([open_candidate(str(last(run)), modes), open_candidate(f"c={last(crop)}")], folder, cache=cache)
    assert [row.name for row in rows] == ["both/last (cmwnet)", "both/last (crop)", "both/last (down)", "c"]
    only_large = evaluate(
        [open_candidate(f"l={last(run)}", (), ["post.w_large=1", "cgnr.enabled=false"])], folder, cache=cache
    )
    assert only_large[0].scores == rows[2].scores, "weight 1 on the whole-image branch is that branch"
    write_report(rows, folder, tmp_path / "report")
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert [row["mode"] for row in summary["rows"]] == ["cmwnet", "crop", "down", "crop"]
    for row, each in zip(summary["rows"], rows, strict=True):
        assert row["mean"]["dice"] == pytest.approx(np.mean([s.dice for s in each.scores.values()]))
        low, high = row["interval_95"]["dice"]
        assert low <= row["mean"]["dice"] <= high
    assert summary["rows"][0]["dice_minus_first"] == {"mean": 0.0, "interval_95": [0.0, 0.0]}
    dice = np.array([[each.dice for each in row.scores.values()] for row in rows])
    for row, differences in zip(summary["rows"], dice - dice[0], strict=True):
        assert row["dice_minus_first"]["mean"] == pytest.approx(differences.mean(), abs=1e-12)
        assert row["dice_minus_first"]["interval_95"] == pytest.approx(bootstrap_interval(list(differences)), abs=1e-12)
    table = list(csv.DictReader((tmp_path / "report" / "per_image.csv").read_text().splitlines()))
    assert len(table) == 12
    assert float(table[0]["dice"]) == rows[0].scores["eye0"].dice


def test_limit(run: Path, folder: Path, cache: Path) -> None:
    told: list[tuple[str, int, int]] = []
    rows = evaluate(
        [open_candidate(f"x={last(run)}")], folder, cache=cache, limit=2, progress=lambda *a: told.append(a)
    )
    assert list(rows[0].scores) == ["eye0", "eye1"]
    assert told == [("x", 1, 2), ("x", 2, 2)]


def test_held_out_images_are_the_folds_own(
    run: Path, folder: Path, cache: Path, tmp_path: Path, tiny_config: Make
) -> None:
    fold = trainer.train(
        tiny_config("split.folds=3", "split.fold=0", "optim.epochs=1"), folder, tmp_path / "fold", cache=cache
    ).path
    rows = evaluate([open_candidate(f"f={last(fold)}")], folder, cache=cache, held_out=True)
    assert list(rows[0].scores) == list(json.loads((fold / "data.json").read_text())["val"])
    with pytest.raises(UsageError, match=r"--held-out: got .*trained without split\.fold"):
        evaluate([open_candidate(f"x={last(run)}")], folder, cache=cache, held_out=True)


def test_what_cannot_be_evaluated_is_refused(run: Path, crop: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--mode down: got .*, trained in mode crop; expected crop"):
        open_candidate(str(last(crop)), ["down"])
    with pytest.raises(
        UsageError,
        match=r"--set unet\.base=8: got a setting that was fixed by training; expected one that starts with infer\.",
    ):
        open_candidate(str(last(run)), (), ["unet.base=8"])
    with pytest.raises(InvalidInput, match="expected a checkpoint written by"):
        open_candidate("x=absent.safetensors")
    save_checkpoint(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {}, system="other")
    with pytest.raises(InvalidInput, match="got system other; expected cmwnet or ss-maf"):
        open_candidate(str(tmp_path / "other.safetensors"))
    with pytest.raises(UsageError, match=r"--device nowhere: got .*; expected a device of this machine; use cpu"):
        evaluate([open_candidate(str(last(run)))], folder, device="nowhere")


def test_bootstrap_interval() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, 100)
    low, high = bootstrap_interval(list(values))
    # the normal interval of a mean of 100 values is 1.96 standard errors; 2000 resamples come within a fifth of it
    half = 1.96 * values.std() / 10
    assert low == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.2 * half)
    assert bootstrap_interval(list(values)) == (low, high)
    assert bootstrap_interval([0.7]) == (0.7, 0.7)


def test_commands_end_to_end(folder: Path, cache: Path, tmp_path: Path, tiny_config: Make) -> None:
    runner, out = CliRunner(), tmp_path / "run"
    (tmp_path / "config.json").write_text(json.dumps(tiny_config().to_dict()))
    common = ["cmwnet", "-o", str(out), "--cache", str(cache), "--no-progress"]
    start = [
        *common,
        "--data",
        str(folder),
        "--val",
        str(folder),
        "--config",
        str(tmp_path / "config.json"),
        "--set",
        "ema.alpha=0.5",
    ]
    result = runner.invoke(cli.train, [*start, "--max-steps", "2"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "weights in" in result.output
    assert json.loads((out / "config.json").read_text())["ema"]["alpha"] == 0.5
    result = runner.invoke(cli.train, [*common, "--resume"], catch_exceptions=False)
    assert result.exit_code == 0
    report = tmp_path / "report"
    arguments = [
        f"mine={last(out)}",
        "--data",
        str(folder),
        "-o",
        str(report),
        "--cache",
        str(cache),
        "--mode",
        "crop",
        "--mode",
        "cmwnet",
    ]
    result = runner.invoke(cli.evaluate, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "mine" in result.output
    assert [row["name"] for row in json.loads((report / "summary.json").read_text())["rows"]] == [
        "mine (crop)",
        "mine (cmwnet)",
    ]
    with pytest.raises(UsageError, match=r"--resume: got --config, --set, --init or --print-config"):
        runner.invoke(cli.train, [*common, "--resume", "--set", "ema.alpha=0.1"], catch_exceptions=False)
    with pytest.raises(UsageError, match=r"--data: got nothing; expected a folder with images/ with masks/ and"):
        runner.invoke(cli.train, common, catch_exceptions=False)


def test_help_says_what_each_systems_data_look_like() -> None:
    shown = CliRunner().invoke(cli.train, ["--help"]).output
    assert "vessel    DRIVE or HRF as distributed, or images/ with masks/\n" in shown
    for system in SYSTEMS:
        with pytest.raises(UsageError, match=re.escape(f"expected a folder with {DATA_LAYOUTS[system]}")):
            CliRunner().invoke(cli.train, [system, "-o", "run"], catch_exceptions=False)


def test_print_config_is_a_config(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.train, ["cmwnet", "-o", str(tmp_path), "--print-config", "--set", "unet.base=16"])
    assert CmwnetConfig.from_dict(json.loads(result.output)).unet.base == 16
