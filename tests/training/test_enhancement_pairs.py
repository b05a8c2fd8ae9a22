"""Enhancement data: folders, pairs that follow from their seed alone, batches of pairs and bad photographs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fundusrt.errors import InvalidInput
from fundusrt_training.data.camera import CameraAugmentation
from fundusrt_training.data.degradation import DegradationConfig, degrade_8_bit
from fundusrt_training.data.degradation.cli import regenerate
from fundusrt_training.data.enhancement import EnhancementPairs, PairDraw, pair_degradation, read_enhancement
from fundusrt_training.data.framed_eye import FramedEye, frame_eyes
from tests.training.synthetic_eye import save_eye

SIDE = 128
AS_IT_IS = CameraAugmentation(p=0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed in range(3):
        save_eye(seed, tmp_path / "clean" / f"eye{seed}.png", tmp_path / "vessels" / f"eye{seed}.png")
    save_eye(9, tmp_path / "unlabelled" / "bad.jpg")
    return tmp_path


@pytest.fixture
def framed(root: Path) -> tuple[list[FramedEye], list[FramedEye]]:
    files = read_enhancement(root)
    return tuple(frame_eyes(part, SIDE, root / "cache") for part in (files.clean, files.unlabelled))  # pyright: ignore


def pairs(
    framed: tuple[list[FramedEye], list[FramedEye]], flip: float = 0.5, camera: CameraAugmentation = AS_IT_IS
) -> EnhancementPairs:
    return EnhancementPairs(*framed, DegradationConfig(), flip, camera)


def to_bytes(planes: Any) -> np.ndarray:
    assert isinstance(planes, torch.Tensor)
    assert planes.dtype == torch.float32
    return np.round(planes.numpy() * 255).astype(np.uint8).transpose(1, 2, 0)


def test_a_folder(root: Path) -> None:
    files = read_enhancement(root)
    assert [each.name for each in files.clean] == ["eye0", "eye1", "eye2"]
    assert [each.vessels for each in files.clean] == [root / "vessels" / f"eye{seed}.png" for seed in range(3)]
    assert [(each.name, each.vessels) for each in files.unlabelled] == [("bad", None)]
    assert files.has_vessels


def test_vessels_and_bad_photographs_may_be_absent(tmp_path: Path) -> None:
    save_eye(0, tmp_path / "clean" / "a.png")
    files = read_enhancement(tmp_path)
    assert (len(files.clean), files.unlabelled, files.has_vessels) == (1, [], False)
    assert files.clean[0].vessels is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: (r / "clean").rename(r / "images"), "got images, unlabelled, vessels; expected `clean/` with good"),
        (lambda r: (r / "vessels" / "eye1.png").unlink(), "got 2 masks for 3 photographs, first without a partner: ey"),
        (lambda r: save_eye(5, r / "x.png", r / "vessels" / "eye5.png"), "first without a partner: eye5"),
        (lambda r: (r / "unlabelled" / "bad.jpg").unlink(), "unlabelled: got an empty folder"),
    ],
)
def test_a_wrong_folder_is_refused(root: Path, change: Callable[[Path], Any], text: str) -> None:
    change(root)
    with pytest.raises(InvalidInput, match=re.escape(text)):
        read_enhancement(root)


def test_a_pair_is_what_its_seed_says(framed: tuple[list[FramedEye], list[FramedEye]]) -> None:
    data, (clean, _) = pairs(framed), framed
    turned = set()
    for place in range(6):
        seed = (7, 2, 0, place)
        item = data[PairDraw(1, seed)]
        pixels, fov, vessels = clean[1].read()
        assert isinstance(vessels, np.ndarray)
        target = to_bytes(item["target"])
        flips = next(
            (y, x) for y in (1, -1) for x in (1, -1) if np.array_equal(pixels[::y, ::x], target)
        )  # an eye is not symmetric
        turned.add(flips)
        y, x = flips
        record = pair_degradation(seed, SIDE, DegradationConfig()).to_dict()
        again = regenerate(np.ascontiguousarray(target), np.ascontiguousarray(fov[::y, ::x]), record)
        np.testing.assert_array_equal(to_bytes(item["image"]), again)
        share = item["vessels"]
        assert isinstance(share, torch.Tensor)
        np.testing.assert_array_equal(np.round(share.numpy() * 255), vessels[::y, ::x])
        assert item["name"] == "eye1"
        repeated = data[PairDraw(1, seed)]
        assert all(
            torch.equal(repeated[name], value) for name, value in item.items() if isinstance(value, torch.Tensor)
        )
    assert len(turned) > 1
    images = [to_bytes(data[PairDraw(1, (7, 2, 0, place))]["image"]) for place in range(3)]
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[1], images[2])


def test_the_range_of_the_draws_is_used(framed: tuple[list[FramedEye], list[FramedEye]]) -> None:
    seeds = [(0, place) for place in range(20)]
    few = DegradationConfig(spots=(1, 2))
    counts = {len(pair_degradation(seed, SIDE, few).spots) for seed in seeds}
    assert counts == {0, 1, 2}
    seed = next(seed for seed in seeds if pair_degradation(seed, SIDE, few).spots)
    dark = EnhancementPairs(*framed, few, 0.0, AS_IT_IS)[PairDraw(0, seed)]["image"]
    many = EnhancementPairs(*framed, DegradationConfig(), 0.0, AS_IT_IS)[PairDraw(0, seed)]["image"]
    assert not np.array_equal(to_bytes(dark), to_bytes(many))


def test_vessels_that_were_found_replace_those_of_the_folder(
    framed: tuple[list[FramedEye], list[FramedEye]], tmp_path: Path
) -> None:
    found = np.zeros((SIDE, SIDE), np.uint8)
    found[3, 5] = 255
    np.save(tmp_path / "map.npy", found)
    data = EnhancementPairs(*framed, DegradationConfig(), 0.0, AS_IT_IS, [tmp_path / "map.npy"] * 3)
    share = data[PairDraw(2, (0,))]["vessels"]
    assert isinstance(share, torch.Tensor)
    assert share.shape == (SIDE, SIDE)
    assert share.nonzero().tolist() == [[3, 5]]


def test_another_camera_changes_target_and_image_alike(framed: tuple[list[FramedEye], list[FramedEye]]) -> None:
    """What the network is to bring back has that camera's colours, not those of the file."""
    other = CameraAugmentation(p=1.0, gamma=0.0, gain=0.35, light=0.0, blur=0.0, noise=0.0)
    ratios: list[float] = []
    for place in range(4):
        draw = PairDraw(0, (5, place))
        usual, changed = (pairs(framed, 0.0, camera)[draw] for camera in (AS_IT_IS, other))
        target, bad = to_bytes(changed["target"]), to_bytes(changed["image"])
        _, fov, _ = framed[0][0].read()
        assert not np.array_equal(target, to_bytes(usual["target"]))
        drawn = pair_degradation(draw.seed, SIDE, DegradationConfig())
        np.testing.assert_array_equal(bad, degrade_8_bit(np.ascontiguousarray(target), fov, drawn))
        ratios.append(float(target[fov].mean() / to_bytes(usual["target"])[fov].mean()))
    assert len(set(ratios)) == 4
    assert 0.6 < min(ratios) < max(ratios) < 1.4


def test_a_batch_keeps_pairs_and_bad_photographs_apart(framed: tuple[list[FramedEye], list[FramedEye]]) -> None:
    data = pairs(framed, flip=0.0)
    items = [data[draw] for draw in (PairDraw(0, (1,)), PairDraw(0, (2,), unlabelled=True), PairDraw(2, (3,)))]
    batch = EnhancementPairs.collate(items)
    assert batch["name"] == ["eye0", "eye2"]
    shapes = [tuple(batch[name].shape) for name in ("image", "target", "vessels", "unlabelled")]  # pyright: ignore
    assert shapes == [(2, 3, SIDE, SIDE)] * 2 + [(2, SIDE, SIDE), (1, 3, SIDE, SIDE)]
    bad = batch.get("unlabelled")
    assert isinstance(bad, torch.Tensor)
    np.testing.assert_array_equal(to_bytes(bad[0]), framed[1][0].read()[0])
    assert "unlabelled" not in EnhancementPairs.collate(items[::2])
