"""The vessels of good photographs, found by a vessel checkpoint: once, at that network's size, for MAGE-Net's."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fundusrt.errors import InvalidInput
from fundusrt_training import trainer
from fundusrt_training.checkpoints import save_checkpoint
from fundusrt_training.configuration import apply_settings
from fundusrt_training.data.enhancement import read_enhancement
from fundusrt_training.data.framed_eye import frame_eye
from fundusrt_training.systems.mage_net_task import MageNetTask
from fundusrt_training.systems.vessel import VesselModule
from fundusrt_training.systems.vessel_config import VesselConfig
from fundusrt_training.systems.vessel_maps import VesselMaps
from tests.training.tiny_mage_net import save_eyes, tiny_config


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """An untrained vessel network for frames of 128 px, a little in favour of vessels."""
    settings = ["net.base=2", "net.gn_groups=2", "data.side=128", "run.seed=4"]
    module = VesselModule(apply_settings(VesselConfig(), settings))
    file = tmp_path / "vessel.safetensors"
    save_checkpoint(file, module.weights(), module.config.to_dict(), system="vessel")
    return file


def middle(eyes: Path, cache: Path, checkpoint: Path) -> float:
    """Return a threshold that half of an eye's pixels pass."""
    module = VesselModule(apply_settings(VesselConfig(), ["net.base=2", "net.gn_groups=2", "run.seed=4"]))
    pixels, fov, _ = frame_eye(read_enhancement(eyes).clean[0], 128, cache).read()
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        p = module.network(image).maps[4].softmax(dim=1)[0, 1].numpy()
    return float(np.median(p[fov]))


def test_a_map_is_the_networks_mask_reduced(tmp_path: Path, checkpoint: Path) -> None:
    eyes, cache = save_eyes(tmp_path / "eyes", vessels=False), tmp_path / "cache"
    threshold, files = middle(eyes, cache, checkpoint), read_enhancement(eyes).clean
    maps = VesselMaps(checkpoint, threshold, cache)
    told: list[tuple[int, int]] = []
    found = maps.find(files, 96, lambda *n: told.append(n))
    assert told[-1] == (5, 5)
    pixels, fov, _ = frame_eye(files[0], 128, cache).read()
    module = VesselModule(apply_settings(VesselConfig(), ["net.base=2", "net.gn_groups=2", "run.seed=4"]))
    with torch.inference_mode():
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        p = module.network(image).maps[4].softmax(dim=1)[0, 1].numpy()
    mask = ((p >= np.float32(threshold)) & fov).astype(np.uint8) * 255
    assert 0.4 < mask[fov].mean() / 255 < 0.6
    np.testing.assert_array_equal(np.load(found[0]), cv2.resize(mask, (96, 96), interpolation=cv2.INTER_AREA))
    assert maps.find(files, 96, lambda *n: None) == found
    other = VesselMaps(checkpoint, threshold + 0.1, cache).find(files[:1], 96, lambda *n: None)
    assert other[0] != found[0]


def test_a_run_trains_against_them(tmp_path: Path, checkpoint: Path) -> None:
    eyes, cache = save_eyes(tmp_path / "eyes", vessels=False), tmp_path / "cache"
    threshold = middle(eyes, cache, checkpoint)
    settings = (f"data.vessel_checkpoint={checkpoint}", f"data.vessel_threshold={threshold}", "data.flip=0")
    task = MageNetTask(tiny_config(*settings, "data.labelled=1"))
    task.prepare(eyes, None, cache)
    batch = next(iter(task.loader(0, 0)))
    files = {each.name: each for each in read_enhancement(eyes).clean}
    (file,) = VesselMaps(checkpoint, threshold, cache).find([files[batch["name"][0]]], 96, lambda *n: None)
    np.testing.assert_array_equal(np.round(batch["vessels"][0].numpy() * 255), np.load(file))
    run = trainer.train(task.config, eyes, tmp_path / "run", cache=cache, limits=trainer.Limits(1)).path
    assert len(json.loads((run / "data.json").read_text())["vessels"]["checkpoint"]) == 64


def test_another_checkpoint_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, {"a": torch.zeros(1)}, {}, system="ss-maf")
    with pytest.raises(InvalidInput, match="got system ss-maf; expected weights of system vessel; give best"):
        VesselMaps(other, 0.5, tmp_path)
    save_checkpoint(other, {"a": torch.zeros(1)}, {}, system="vessel", extra={"training": {}})
    with pytest.raises(InvalidInput, match="got a file to resume from; expected weights of system vessel"):
        VesselMaps(other, 0.5, tmp_path)
    with pytest.raises(InvalidInput, match=r"absent\.safetensors"):
        VesselMaps(tmp_path / "absent.safetensors", 0.5, tmp_path)
