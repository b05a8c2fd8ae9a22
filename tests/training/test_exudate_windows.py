"""Training windows of SS-MAF and what another camera changes: neither is in the paper, both follow their seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fundusrt.errors import UsageError
from fundusrt_training.data.camera import CameraAugmentation, through_another_camera
from fundusrt_training.data.exudates import read_exudates
from fundusrt_training.data.exudates.pairs import (
    ExudateAugmentation,
    ExudatePairs,
    PairConfig,
    PairDraw,
    network_input,
    window,
)
from fundusrt_training.systems.ss_maf_config import SsMafConfig
from fundusrt_training.systems.ss_maf_task import SsMafTask

STILL = ExudateAugmentation(p=0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs of 90 x 120 px: a small exudate in one, none in the other."""
    mask = np.zeros((90, 120), bool)
    mask[70:74, 100:103] = True
    random = np.random.default_rng(0)
    for name, marked in (("a", mask), ("b", np.zeros_like(mask))):
        pixels = random.integers(20, 200, (90, 120, 3))
        for part, array in (("images", pixels), ("masks", marked * 255)):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / part / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("seed", range(20))
def test_a_marked_window_holds_a_marked_pixel_and_shows_the_photograph(folder: Path, seed: int) -> None:
    case = read_exudates(folder)[0]
    pixels, mask = np.asarray(Image.open(case.image)), case.mask()
    part, labels = window(pixels, mask, (32, 48), 1.0, (seed,))
    assert part.shape == (32, 48, 3)
    assert labels.any()
    places = np.lib.stride_tricks.sliding_window_view(pixels, (32, 48, 3))[:, :, 0]
    ((top, left),) = np.argwhere((places == part).all(axis=(2, 3, 4)))
    np.testing.assert_array_equal(labels, mask[top : top + 32, left : left + 48])


def test_other_windows_lie_anywhere(folder: Path) -> None:
    case = read_exudates(folder)[0]
    pixels, mask = np.asarray(Image.open(case.image)), case.mask()
    found = [window(pixels, mask, (32, 48), 0.0, (seed,)) for seed in range(200)]
    assert len({part.tobytes() for part, _ in found}) > 150
    assert 0.0 < np.mean([labels.any() for _, labels in found]) < 0.5
    same, _ = window(pixels, mask, (32, 48), 0.0, (7,))
    np.testing.assert_array_equal(same, found[7][0])


def test_a_window_larger_than_the_photograph_is_black_outside(folder: Path) -> None:
    case = read_exudates(folder)[0]
    pixels, mask = np.asarray(Image.open(case.image)), case.mask()
    part, labels = window(pixels, mask, (100, 130), 1.0, (0,))
    np.testing.assert_array_equal(part[:90, :120], pixels)
    np.testing.assert_array_equal(labels[:90, :120], mask)
    assert not part[90:].any()
    assert not labels[:, 120:].any()


def test_whole_photographs_are_judged_at_the_scale_of_the_windows(folder: Path) -> None:
    config = PairConfig(window=(32, 32), lr=(32, 32), hr=(64, 64))
    pairs = ExudatePairs(read_exudates(folder), config, STILL)
    sizes = [tuple(pairs[PairDraw(0, seed)][key].shape) for seed in ((1,), None) for key in ("lr", "hr", "labels")]  # pyright: ignore
    assert sizes == [(3, 32, 32), (3, 64, 64), (64, 64), (3, 96, 128), (3, 192, 256), (192, 256)]
    assert PairConfig(window=(16, 16), lr=(32, 32), hr=(64, 64)).input_size(90, 120, 16) == (176, 240)
    assert PairConfig().input_size(90, 120, 16) == (480, 720)


def test_green_is_the_green_channel_and_grey_stays_grey(folder: Path) -> None:
    config = PairConfig(hr=(90, 120), lr=(90, 120), channels="green", mean=0.0, std=1.0)
    case = read_exudates(folder)[0]
    lr = ExudatePairs([case], config, STILL)[PairDraw(0, None)]["lr"]
    assert isinstance(lr, torch.Tensor)
    green = np.asarray(Image.open(case.image))[..., 1] / 255.0
    np.testing.assert_allclose(lr.numpy(), green[None], rtol=0, atol=1e-6)
    seen = network_input(case, config, divisor=2)
    np.testing.assert_allclose(seen.numpy(), np.broadcast_to(green, (3, 90, 120)), rtol=0, atol=1e-6)


def test_every_photograph_is_seen_as_often_as_asked(folder: Path) -> None:
    config = SsMafConfig.from_dict(
        {
            "net": {"base": 2, "d": 4},
            "data": {"lr": [32, 32], "hr": [64, 64], "window": [32, 32], "repeats": 3},
            "optim": {"batch": 2},
        }
    )
    task = SsMafTask(config)
    task.prepare(folder, None, folder)
    assert task.steps_per_epoch == 3
    seen = [(name, lr.numpy().tobytes()) for batch in task.loader(0, 0) for name, lr in zip(batch["name"], batch["lr"])]  # noqa: B905
    assert sorted(name for name, _ in seen) == ["a", "a", "a", "b", "b", "b"]
    assert len(set(seen)) == 6


def test_another_camera_follows_its_seed_and_its_strengths(folder: Path) -> None:
    pixels = np.asarray(Image.open(read_exudates(folder)[0].image))
    np.testing.assert_array_equal(through_another_camera(pixels, CameraAugmentation(), (0,)), pixels)
    none = CameraAugmentation(p=1.0, gamma=0.0, gain=0.0, light=0.0, blur=0.0, noise=0.0)
    np.testing.assert_array_equal(through_another_camera(pixels, none, (0,)), pixels)
    strong = CameraAugmentation(p=1.0)
    first = through_another_camera(pixels, strong, (1,))
    np.testing.assert_array_equal(first, through_another_camera(pixels, strong, (1,)))
    assert not np.array_equal(first, through_another_camera(pixels, strong, (2,)))
    for name in ("gamma", "gain", "light", "blur", "noise"):
        fields: dict[str, float] = dict.fromkeys(("gamma", "gain", "light", "blur", "noise"), 0.0)
        fields[name] = 20.0 if name == "blur" else getattr(strong, name)  # the photograph is small
        changed = through_another_camera(pixels, CameraAugmentation(p=1.0, **fields), (3,))
        assert not np.array_equal(changed, pixels), name


def test_another_camera_keeps_grey_grey_and_black_black() -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (64, 64, 1), np.uint8).repeat(3, axis=2)
    pixels[:20] = 0
    config = CameraAugmentation(p=1.0, blur=0.0)
    for seed in range(10):
        changed = through_another_camera(pixels, config, (seed,))
        np.testing.assert_array_equal(changed[..., 0], changed[..., 1])
        assert not changed[:20].any()
        assert changed[20:].any()


def test_light_and_gamma_by_their_formulas() -> None:
    grey = np.full((65, 65, 3), 128, np.uint8)
    light = CameraAugmentation(p=1.0, gamma=0.0, gain=0.0, light=0.25, blur=0.0, noise=0.0)
    for seed in range(5):
        lit = through_another_camera(grey, light, (seed,))[..., 0].astype(float)
        assert lit[32, 32] == pytest.approx(128, abs=1)
        assert lit.max() == pytest.approx(128 * 1.25, abs=1.5)
        assert lit.min() == pytest.approx(128 * 0.75, abs=1.5)
    tone = CameraAugmentation(p=1.0, gamma=0.5, gain=0.0, light=0.0, blur=0.0, noise=0.0)
    values = {int(through_another_camera(grey, tone, (seed,))[0, 0, 0]) for seed in range(40)}
    assert min(values) >= int(255 * (128 / 255) ** 1.5)
    assert max(values) <= int(255 * (128 / 255) ** (1 / 1.5)) + 1
    assert min(values) < 110
    assert max(values) > 145


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PairConfig(window=(8, 64)), r"data\.window: got \(8, 64\)"),
        (lambda: PairConfig(window_marked=1.5), r"data\.window_marked: got 1.5"),
        (lambda: PairConfig(repeats=0), r"data\.repeats: got 0"),
        (lambda: PairConfig(channels="red"), r"data\.channels: got 'red'"),  # pyright: ignore
        (lambda: ExudateAugmentation(zoom=-0.1), r"aug\.zoom: got -0.1"),
        (lambda: CameraAugmentation(p=1.5), r"camera\.p: got 1.5"),
        (lambda: CameraAugmentation(noise=float("nan")), r"camera\.noise: got nan"),
        (lambda: CameraAugmentation(gain=2.0), r"camera\.gain: got 2.0"),
    ],
)
def test_refused_configuration(make: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        make()


def test_reflexes_are_soft_and_leave_the_other_changes_as_they_were() -> None:
    pixels = np.full((400, 500, 1), 60, np.uint8)
    pixels[:, :50] = 0
    alone = CameraAugmentation(p=1.0, gamma=0.0, gain=0.0, light=0.0, blur=0.0, noise=0.0, reflex=100.0)
    shares: list[float] = []
    for seed in range(20):
        lit = through_another_camera(pixels, alone, (seed,))[..., 0].astype(int)
        assert not lit[:, :50].any()
        assert lit[:, 50:].min() >= 60
        shares.append(float((lit[:, 50:] > 65).mean()))
        inside = lit[:, 50:]
        # a Gaussian of sigma s falls by at most 0.61 of its height over s; the smallest s is 5 px, six may overlap
        assert max(np.abs(np.diff(inside, axis=axis)).max() for axis in (0, 1)) <= 6 * 0.61 * 100 / 5
    assert 0.01 < np.mean(shares) < 0.6
    assert len(set(shares)) > 15
    usual, more = CameraAugmentation(p=1.0), CameraAugmentation(p=1.0, reflex=1e-9)
    np.testing.assert_array_equal(
        through_another_camera(pixels, usual, (3,)), through_another_camera(pixels, more, (3,))
    )
