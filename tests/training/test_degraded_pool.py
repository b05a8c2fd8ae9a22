"""Degradations made beforehand: what a pool holds follows from the photograph, and pairs are drawn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fundusrt_training.data.camera import CameraAugmentation
from fundusrt_training.data.degradation import DegradationConfig, degrade_8_bit
from fundusrt_training.data.enhancement import (
    EnhancementPairs,
    PairDraw,
    degraded_pool,
    pair_degradation,
    pool_seed,
    read_enhancement,
)
from fundusrt_training.data.enhancement.degraded_pool import read_variant
from fundusrt_training.data.framed_eye import FramedEye, frame_eyes, to_pixels
from tests.training.synthetic_eye import save_eye

AS_IT_IS = CameraAugmentation(p=0.0)
CONFIG = DegradationConfig(blur_lengths="pixels")


@pytest.fixture
def eyes(tmp_path: Path) -> list[FramedEye]:
    for seed in range(2):
        save_eye(seed, tmp_path / "clean" / f"eye{seed}.png", tmp_path / "vessels" / f"eye{seed}.png")
    return frame_eyes(read_enhancement(tmp_path).clean, 96, tmp_path / "cache")


def test_a_variant_is_what_its_seed_says(eyes: list[FramedEye], tmp_path: Path) -> None:
    files = degraded_pool(eyes, 3, CONFIG, AS_IT_IS, tmp_path / "cache")
    seen = set()
    for eye, file in zip(eyes, files, strict=True):
        pixels, fov, _ = eye.read()
        for variant in range(3):
            bad, good = read_variant(file, variant)
            assert np.array_equal(good, pixels)
            drawn = pair_degradation(pool_seed(eye, variant), 96, CONFIG)
            assert np.array_equal(bad, degrade_8_bit(np.ascontiguousarray(pixels), fov, drawn))
            seen.add(bad.tobytes())
    assert len(seen) == 6


def test_it_is_made_once_and_by_as_many_processes_as_one_likes(eyes: list[FramedEye], tmp_path: Path) -> None:
    files = degraded_pool(eyes, 2, CONFIG, AS_IT_IS, tmp_path / "cache")
    stamps = [file.stat().st_mtime_ns for file in files]
    assert degraded_pool(eyes, 2, CONFIG, AS_IT_IS, tmp_path / "cache", workers=2) == files
    assert [file.stat().st_mtime_ns for file in files] == stamps
    others = degraded_pool(eyes, 2, CONFIG, AS_IT_IS, tmp_path / "other", workers=2)
    assert [np.load(file).tobytes() for file in others] == [np.load(file).tobytes() for file in files]
    assert degraded_pool(eyes, 2, DegradationConfig(), AS_IT_IS, tmp_path / "cache") != files


def test_another_cameras_colours_are_in_both_images(eyes: list[FramedEye], tmp_path: Path) -> None:
    camera = CameraAugmentation(p=1.0, light=0.0, blur=0.0, noise=0.0)
    (file, _) = degraded_pool(eyes, 2, CONFIG, camera, tmp_path / "cache")
    goods = [read_variant(file, variant)[1] for variant in range(2)]
    assert not np.array_equal(goods[0], goods[1])
    assert not np.array_equal(goods[0], eyes[0].read()[0])


def test_pairs_are_drawn_from_it(eyes: list[FramedEye], tmp_path: Path) -> None:
    pool = degraded_pool(eyes, 3, CONFIG, AS_IT_IS, tmp_path / "cache")
    pairs = EnhancementPairs(eyes, [], CONFIG, 0.5, AS_IT_IS, pool=pool)
    held = {image.tobytes() for variant in range(3) for image in _turned(read_variant(pool[1], variant)[0])}
    found = set()
    for place in range(24):
        item = pairs[PairDraw(1, (7, 2, 0, place))]
        bad = to_pixels(item["image"])  # pyright: ignore
        assert bad.tobytes() in held
        found.add(bad.tobytes())
        again = pairs[PairDraw(1, (7, 2, 0, place))]
        assert np.array_equal(to_pixels(again["image"]), bad)  # pyright: ignore
        flips = next(
            (down, across)
            for down in (1, -1)
            for across in (1, -1)
            if np.array_equal(to_pixels(item["target"]), eyes[1].read()[0][::down, ::across])  # pyright: ignore
        )
        vessels = np.asarray(item["vessels"]) * 255  # turned as the images are
        assert np.array_equal(np.round(vessels), eyes[1].read()[2][:: flips[0], :: flips[1]])  # pyright: ignore
    assert len(found) > 6  # three degradations, four ways round


def _turned(image: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(image[::down, ::across]) for down in (1, -1) for across in (1, -1)]
