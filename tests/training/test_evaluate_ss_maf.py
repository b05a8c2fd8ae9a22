"""Evaluation of SS-MAF: one pool of pixels, its intervals, which part of a data set, report and command."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torchmetrics.functional.classification import binary_precision_recall_curve
from torchmetrics.utilities.compute import auc

from fundusrt.errors import UsageError
from fundusrt.image import read_image
from fundusrt_training import cli
from fundusrt_training.bootstrap import resamples
from fundusrt_training.checkpoints import load_checkpoint, save_checkpoint
from fundusrt_training.data.folder import read_folder, read_mask
from fundusrt_training.data.split import split
from fundusrt_training.evaluate import evaluate, open_candidate
from fundusrt_training.evaluation_report import write_report
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.systems.ss_maf import SsMafModule
from fundusrt_training.systems.ss_maf_config import SsMafConfig
from fundusrt_training.systems.ss_maf_evaluator import SsMafEvaluator
from tests.training.test_exudate_readers import idrid

Make = Callable[..., SsMafConfig]


@pytest.fixture
def checkpoint(tmp_path: Path, exudates: Path, tiny_ss_maf: Make) -> Path:
    """Untrained weights, shifted so that half of the first photograph is marked."""
    return untrained(tmp_path / "a.safetensors", tiny_ss_maf(), next((exudates / "images").iterdir()))


def untrained(path: Path, config: SsMafConfig, half_of: Path | None = None) -> Path:
    module = SsMafModule(config)
    if half_of is not None:
        logits = shown(module, half_of)
        with torch.no_grad():
            module.network.seg_head.conv.bias.sub_(logits[0].flatten(1).median(dim=1).values)  # pyright: ignore
    save_checkpoint(path, module.weights(), config.to_dict(), system="ss-maf")
    return path


def shown(module: SsMafModule, image: Path) -> torch.Tensor:
    small = cv2.resize(read_image(image).pixels, (48, 32), interpolation=cv2.INTER_CUBIC)
    x = torch.from_numpy((small.astype(np.float32) / np.float32(255) - 0.5) / 0.5).permute(2, 0, 1)[None]
    with torch.no_grad():
        return module.network.eval()(x.float())  # pyright: ignore


def by_hand(checkpoint: Path, image: Path, mask: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Decision and reference at the photograph's size; probability and reference at the network's."""
    state, config = load_checkpoint(checkpoint)
    module, reference = SsMafModule(SsMafConfig.from_dict(config)), read_mask(mask)
    module.load_weights(state)
    p = shown(module, image).softmax(dim=1)[0, 1].numpy()
    sizes = list(zip(reference.shape, p.shape, strict=True))
    there = np.ix_(*([i * small // large for i in range(large)] for large, small in sizes))
    back = np.ix_(*([i * large // small for i in range(small)] for large, small in sizes))
    return p[there] > 0.5, reference, p, reference[back]


def test_scores_are_those_of_the_network_by_hand(checkpoint: Path, exudates: Path) -> None:
    (row,) = evaluate([open_candidate(f"x={checkpoint}")], exudates)
    found = [by_hand(checkpoint, case.image, case.mask) for case in read_folder(exudates)]
    hits = sum(int((prediction & reference).sum()) for prediction, reference, *_ in found)
    alarms = sum(int((prediction & ~reference).sum()) for prediction, reference, *_ in found)
    misses = sum(int((~prediction & reference).sum()) for prediction, reference, *_ in found)
    assert min(hits, alarms, misses) > 0
    assert row.summary()["tp"] == hits
    assert row.figures["dice"] == pytest.approx(2 * hits / (2 * hits + alarms + misses))
    assert row.figures["iou"] == pytest.approx(hits / (hits + alarms + misses))
    assert row.figures["recall"] == pytest.approx(hits / (hits + misses))
    assert row.figures["precision"] == pytest.approx(hits / (hits + alarms))
    p, reference = (torch.from_numpy(np.concatenate([each[i].ravel() for each in found])) for i in (2, 3))
    precision, recall, _ = binary_precision_recall_curve(p, reference.long())
    # probabilities are counted on a grid of 2^-16
    assert row.figures["pr_auc"] == pytest.approx(abs(float(auc(recall, precision))), abs=1e-3)


def test_intervals_are_of_the_pool(checkpoint: Path, exudates: Path) -> None:
    (row,) = evaluate([open_candidate(f"x={checkpoint}")], exudates)
    decisions = np.array([each.decisions for each in row.scores.values()])
    hits, alarms, misses = decisions[resamples(7)].sum(axis=1).T
    low, high = np.percentile(2 * hits / (2 * hits + alarms + misses), (2.5, 97.5))
    assert row.summary()["interval_95"]["dice"] == pytest.approx([low, high])
    assert low < row.figures["dice"] < high


def test_report(checkpoint: Path, exudates: Path, tmp_path: Path, tiny_ss_maf: Make) -> None:
    other = untrained(tmp_path / "b.safetensors", tiny_ss_maf("net.stream=unet", "run.seed=1"))
    rows = evaluate([open_candidate(f"a={checkpoint}"), open_candidate(f"b={other}")], exudates, limit=3)
    write_report(rows, exudates, tmp_path / "report")
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())["rows"]
    assert [(row["name"], row["mode"], row["images"]) for row in summary] == [("a", "full", 3), ("b", "unet", 3)]
    assert list(summary[0]["pooled"]) == ["dice", "iou", "recall", "precision", "pr_auc"]
    assert summary[1]["dice_minus_first"]["mean"] == pytest.approx(
        summary[1]["pooled"]["dice"] - summary[0]["pooled"]["dice"]
    )
    table = list(csv.DictReader((tmp_path / "report" / "per_image.csv").read_text().splitlines()))
    assert [row["image"] for row in table] == ["eye0", "eye1", "eye2"] * 2
    for name in ("tp", "fp", "fn"):
        assert sum(int(row[name]) for row in table[:3]) == summary[0][name]
    hits, alarms, misses = (int(table[1][name]) for name in ("tp", "fp", "fn"))
    assert float(table[1]["iou"]) == pytest.approx(hits / (hits + alarms + misses))


def test_a_data_set_with_a_test_part_is_scored_on_it(tmp_path: Path) -> None:
    data = idrid(tmp_path / "idrid")
    assert [case.name for case in SsMafEvaluator.cases(data, held_out=False)] == ["IDRiD_55"]
    assert [case.name for case in SsMafEvaluator.cases(data, held_out=True)] == ["IDRiD_01", "IDRiD_02", "IDRiD_03"]


def test_held_out_images_are_the_folds_own(exudates: Path, tmp_path: Path, tiny_ss_maf: Make) -> None:
    config = tiny_ss_maf("split.fold=1", "split.folds=3")
    fold = untrained(tmp_path / "fold.safetensors", config)
    (row,) = evaluate([open_candidate(str(fold))], exudates, held_out=True)
    trained, held_out = split(read_folder(exudates), config.split)
    assert list(row.scores) == [case.name for case in held_out]
    assert not {*row.scores} & {case.name for case in trained}


def test_refusals(checkpoint: Path, exudates: Path, tmp_path: Path, tiny_config: Callable[..., CmwnetConfig]) -> None:
    with pytest.raises(UsageError, match=r"--mode crop: got .*a\.safetensors, trained in mode full; expected full"):
        open_candidate(str(checkpoint), ["crop"])
    with pytest.raises(
        UsageError, match=r"--set net\.k=2: got a setting that was fixed by training; expected .* run\."
    ):
        open_candidate(str(checkpoint), (), ["net.k=2"])
    config = tiny_config()
    save_checkpoint(tmp_path / "c.safetensors", CmwnetModule(config).weights(), config.to_dict())
    with pytest.raises(UsageError, match="checkpoints: got systems cmwnet, ss-maf; expected one; evaluate each"):
        evaluate([open_candidate(str(checkpoint)), open_candidate(str(tmp_path / "c.safetensors"))], exudates)


def test_the_command(checkpoint: Path, exudates: Path, tmp_path: Path) -> None:
    arguments = [f"mine={checkpoint}", "--data", str(exudates), "-o", str(tmp_path / "report"), "--limit", "2"]
    result = CliRunner().invoke(cli.evaluate, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "all pixels of 2 images pooled" in result.output
    assert "PR-AUC" in result.output
    (row,) = json.loads((tmp_path / "report" / "summary.json").read_text())["rows"]
    assert f"{row['pooled']['iou']:.4f}" in result.output
