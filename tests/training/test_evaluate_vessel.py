"""Evaluation of AG-Net alone: the same scores as the metric's on the frames a run sees."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fundusrt.errors import InvalidInput
from fundusrt_training.checkpoints import save_checkpoint
from fundusrt_training.configuration import apply_settings
from fundusrt_training.data.framed_eye import EyeFiles, frame_eye
from fundusrt_training.evaluate import evaluate, open_candidate
from fundusrt_training.systems.vessel import VesselModule
from fundusrt_training.systems.vessel_config import VesselConfig
from fundusrt_training.systems.vessel_evaluator import find_vessels
from fundusrt_training.vessel_metrics import vessel_scores
from tests.training.test_degrade_command import photograph


def test_scores_are_those_of_the_map(tmp_path: Path) -> None:
    config = apply_settings(
        VesselConfig(), ["net.base=2", "net.gn_groups=2", "data.side=96", "run.channels_last=false"]
    )
    module = VesselModule(config)
    save_checkpoint(tmp_path / "a.safetensors", module.weights(), config.to_dict(), system="vessel")
    for index in range(2):
        pixels, mask = photograph(), np.zeros((160, 220), np.uint8)
        mask[40 + 10 * index : 60 + 10 * index, 60:150] = 255
        for part, picture in (("images", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)), ("masks", mask)):
            (tmp_path / "data" / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "data" / part / f"eye{index}.png"), picture)
    (row,) = evaluate([open_candidate(str(tmp_path / "a.safetensors"))], tmp_path / "data", cache=tmp_path / "cache")
    assert (row.mode, list(row.scores)) == ("vessel", ["eye0", "eye1"])
    for name, found in row.scores.items():
        files = EyeFiles(name, *(tmp_path / "data" / part / f"{name}.png" for part in ("images", "masks")))
        pixels, fov, vessels = frame_eye(files, 96, tmp_path / "cache").read()
        assert isinstance(vessels, np.ndarray)
        p, reference, seen = find_vessels(module, frame_eye(files, 96, tmp_path / "cache"))
        np.testing.assert_array_equal(seen, fov)
        np.testing.assert_array_equal(reference, vessels >= 128)
        assert 0.05 < reference[fov].mean() < 0.3
        assert p.shape == pixels.shape[:2]
        assert found == vessel_scores(p, reference, fov)
    assert row.figures["auc"] == pytest.approx(np.mean([each.auc for each in row.scores.values()]))
    alone = EyeFiles("alone", tmp_path / "data" / "images" / "eye0.png")
    with pytest.raises(InvalidInput, match="alone: got no vessels; expected a vessel mask"):
        find_vessels(module, frame_eye(alone, 96, tmp_path / "cache"))
