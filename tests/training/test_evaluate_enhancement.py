"""Evaluation of MAGE-Net on what `fundusrt degrade` wrote: PSNR and SSIM as deployed, before and after; refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training import cli
from fundusrt_training.checkpoints import save_checkpoint
from fundusrt_training.configuration import apply_settings
from fundusrt_training.data.degradation.cli import degrade_command
from fundusrt_training.data.enhancement.degraded_folder import read_degraded
from fundusrt_training.evaluate import evaluate, open_candidate
from fundusrt_training.systems.mage_net import MageNetModule
from fundusrt_training.systems.mage_net_config import MageNetConfig
from tests.training.test_degrade_command import photograph

TINY = ("net.n=4", "net.u=2", "net.o=0", "net.num_cab=1", "net.use_rsp=false", "run.channels_last=false")


@pytest.fixture(scope="module")
def degraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs, each degraded twice, 96 px. Not to be changed."""
    folder = tmp_path_factory.mktemp("enhancement")
    for index, name in enumerate(("b", "a")):
        pixels = np.roll(photograph(), 7 * index, axis=1)
        cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    arguments = [str(folder), "-o", str(folder / "out"), "--count", "2", "--side", "96", "--seed", "1"]
    CliRunner().invoke(degrade_command, arguments, catch_exceptions=False)
    return folder / "out"


def checkpoint(path: Path, *settings: str, scale: float = 1.0) -> Path:
    """Write untrained weights times a factor, of student and teacher; the teacher's times another."""
    config = apply_settings(MageNetConfig(), [*TINY, *settings])
    state = {
        name: value * scale * (0.5 if name.startswith("teacher.") else 1.0)
        for name, value in MageNetModule(config).weights().items()
    }
    save_checkpoint(path, state, config.to_dict(), system="mage-net")
    return path


def test_a_network_that_changes_nothing_scores_as_its_input(degraded: Path, tmp_path: Path) -> None:
    (row,) = evaluate([open_candidate(str(checkpoint(tmp_path / "a.safetensors", scale=0.0)))], degraded)
    assert list(row.scores) == ["a_0", "a_1", "b_0", "b_1"]
    for scores in row.scores.values():
        assert (scores.psnr, scores.ssim) == (scores.input_psnr, scores.input_ssim)
    found = []
    for case in read_degraded(degraded):
        bad, good, _ = case.read()
        error = np.mean((bad / 255.0 - good / 255.0) ** 2)
        found.append(100.0 if error < 1e-10 else 10 * math.log10(1 / error))
    assert len(set(found)) > 2
    assert row.summary()["not_degraded"] == found.count(100.0)
    assert row.figures["input_psnr"] == pytest.approx(np.mean(found))
    assert list(row.figures) == ["psnr", "ssim", "input_psnr", "input_ssim"]


def test_the_enhanced_image_is_judged_as_it_is_deployed(degraded: Path, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "a.safetensors", scale=3.0)
    (teacher,) = evaluate([open_candidate(str(path))], degraded)
    (student,) = evaluate([open_candidate(str(path), (), ["export.weights=student"])], degraded)
    assert (teacher.mode, student.mode) == ("teacher", "student")
    config = apply_settings(MageNetConfig(), [*TINY, "export.weights=student"])
    module = MageNetModule(config)
    module.load_weights({name: value * 3.0 for name, value in module.weights().items()})
    for case in read_degraded(degraded):
        bad, good, fov = case.read()
        x = torch.from_numpy(bad.transpose(2, 0, 1).astype(np.float32) / 255.0)[None]
        with torch.no_grad():
            better = module.student.eval()(x).stages[-1][0].numpy().transpose(1, 2, 0)
        better = np.floor(np.clip(better, 0, 1) * 255 + 0.5) * fov[..., None]
        expected = 10 * math.log10(1 / np.mean((better / 255.0 - good / 255.0) ** 2))
        # a value at the edge of a rounding may fall either way
        assert student.scores[case.name].psnr == pytest.approx(expected, abs=1e-3)
        assert abs(student.scores[case.name].psnr - teacher.scores[case.name].psnr) > 1e-2


def test_only_what_degrade_wrote_is_read(degraded: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"index\.json: got .*; expected the index of .*, with images; make"):
        read_degraded(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(InvalidInput, match="got format 'other'"):
        read_degraded(tmp_path)
    index = json.loads((degraded / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(index | {"images": []}))
    with pytest.raises(InvalidInput, match="got no images"):
        read_degraded(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(InvalidInput, match=r"a_0\.png: got no such file; expected what index\.json lists"):
        read_degraded(tmp_path)
    path = checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match=r"--held-out: got mage-net.*degrade the photographs that were held out"):
        evaluate([open_candidate(str(path))], degraded, held_out=True)


def test_partners_of_another_size_are_refused(degraded: Path) -> None:
    (case, *_) = read_degraded(degraded)
    smaller = case.clean.parent / "smaller.png"
    cv2.imwrite(str(smaller), np.full((64, 64, 3), 90, np.uint8))
    wrong = type(case)(case.name, smaller, case.clean, case.fov)
    with pytest.raises(InvalidInput, match=r"smaller\.png: got shape \(64, 64, 3\), uint8; expected \(96, 96\) px"):
        wrong.read()
    smaller.unlink()


def test_the_command(degraded: Path, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "a.safetensors", "teacher.enabled=false")
    arguments = [f"mine={path}", "--data", str(degraded), "-o", str(tmp_path / "report")]
    result = CliRunner().invoke(cli.evaluate, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "PSNR before" in result.output
    (row,) = json.loads((tmp_path / "report" / "summary.json").read_text())["rows"]
    assert (row["mode"], row["images"]) == ("student", 4)
    assert row["psnr_minus_first"]["mean"] == 0.0
