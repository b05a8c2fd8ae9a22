"""Flips and colour changes: known colours, clipping, and one draw for a pair."""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np
import pytest
import torch

from fundusrt_training.data.augmentation import (
    AugmentationConfig,
    AugmentationDraw,
    adjust_hue,
    draw_augmentation,
    flip,
    flip_window,
    jitter,
)

STILL = AugmentationDraw(False, False, 1.0, 1.0, 1.0, 0.0, (0, 1, 2, 3))


def colours(n: int = 200) -> torch.Tensor:
    pixels = torch.rand(3, n, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pixels[:, 0] = 0.0
    pixels[:, 1] = 1.0
    pixels[:, 2] = 0.5
    pixels[:, 3, 0] = torch.tensor([1.0, 1.0, 0.0])
    return pixels


@pytest.mark.parametrize("turns", [-0.4, -0.05, 0.03, 0.5])
def test_hue_is_the_standard_librarys(turns: float) -> None:
    pixels = colours()
    ours = adjust_hue(pixels, turns)
    for i in range(pixels.shape[1]):
        h, s, v = colorsys.rgb_to_hsv(*pixels[:, i, 0].tolist())
        assert ours[:, i, 0].tolist() == pytest.approx(colorsys.hsv_to_rgb((h + turns) % 1, s, v), abs=1e-12)


def test_hue_there_and_back() -> None:
    torch.testing.assert_close(adjust_hue(adjust_hue(colours(), 0.2), -0.2), colours(), rtol=0, atol=1e-12)


def test_single_steps_are_their_formulas() -> None:
    x = colours()
    cases = {
        "brightness": (x * 1.3).clamp(0, 1),
        "contrast": (0.4 + (x - 0.4) * 1.3).clamp(0, 1),
        "saturation": (lambda g: (g + (x - g) * 1.3).clamp(0, 1))((0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2])[None]),
    }
    for name, expected in cases.items():
        ours = jitter(x, dataclasses.replace(STILL, **{name: 1.3}), 0.4)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    assert torch.equal(jitter(x, STILL, 0.4), x)


def test_order_of_the_steps_is_kept() -> None:
    x = torch.full((1, 1, 1), 0.5)
    draw = dataclasses.replace(STILL, brightness=2.0, contrast=0.5)
    assert jitter(x, draw, 0.0).item() == pytest.approx(0.5)
    assert jitter(x, dataclasses.replace(draw, order=(1, 0, 2, 3)), 0.0).item() == pytest.approx(0.5)
    x = torch.full((1, 1, 1), 0.8)
    assert jitter(x, draw, 0.0).item() == pytest.approx(0.5), "clipped at 1, then halved"
    assert jitter(x, dataclasses.replace(draw, order=(1, 0, 2, 3)), 0.0).item() == pytest.approx(0.8)


def test_grey_equals_three_equal_planes() -> None:
    grey = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(2))
    for seed in range(20):
        draw = draw_augmentation(AugmentationConfig(jitter=(0.5, 0.5, 0.5, 0.5)), (seed,))
        # luma weights sum to 1 up to float32 rounding
        torch.testing.assert_close(
            jitter(grey.expand(3, -1, -1), draw, 0.3), jitter(grey, draw, 0.3).expand(3, -1, -1), rtol=0, atol=1e-6
        )


def test_the_input_is_not_changed() -> None:
    x = colours()
    before = x.clone()
    jitter(x, dataclasses.replace(STILL, brightness=0.5, contrast=0.5), 0.1)
    assert torch.equal(x, before)


def test_draws_follow_the_strengths() -> None:
    config = AugmentationConfig(hflip=0.5, jitter=(0.2, 0.3, 0.4, 0.05))
    draws = [draw_augmentation(config, (7, i)) for i in range(2000)]
    for name, strength in (("brightness", 0.2), ("contrast", 0.3), ("saturation", 0.4)):
        values = np.array([getattr(d, name) for d in draws])
        assert 1 - strength <= values.min() < 1 - 0.98 * strength
        assert 1 + 0.98 * strength < values.max() <= 1 + strength
    assert max(abs(d.hue) for d in draws) <= 0.05
    # 2000 coins: standard deviation 0.011
    assert np.mean([d.hflip for d in draws]) == pytest.approx(0.5, abs=0.05)
    assert not any(d.vflip for d in draws)
    assert len({d.order for d in draws}) == 24
    assert draw_augmentation(config, (7, 3)) == draws[3]


def test_extra_brightness_is_off_unless_asked_for() -> None:
    plain = AugmentationConfig(jitter=(0, 0, 0, 0))
    assert draw_augmentation(plain, (1,)).brightness == 1.0
    scaled = [draw_augmentation(dataclasses.replace(plain, brightness_scale=0.5), (i,)).brightness for i in range(500)]
    assert 1 / 1.5 <= min(scaled) < 0.7
    assert 1.45 < max(scaled) <= 1.5


def test_gamma_is_off_unless_asked_for_and_log_uniform() -> None:
    plain = AugmentationConfig()
    assert draw_augmentation(plain, (1,)).gamma == 1.0
    powers = [draw_augmentation(dataclasses.replace(plain, gamma=0.6), (i,)).gamma for i in range(500)]
    assert 1 / 1.6 <= min(powers) < 0.65
    assert 1.55 < max(powers) <= 1.6
    assert np.mean(np.log(powers)) == pytest.approx(0, abs=0.05)
    x = colours()
    assert torch.equal(jitter(x, dataclasses.replace(STILL, gamma=1.5), 0.5), x.pow(1.5))


def test_blank_exposures_are_off_unless_asked_for() -> None:
    plain = AugmentationConfig()
    assert all(draw_augmentation(plain, (i,)).blank is None for i in range(200))
    config = dataclasses.replace(plain, blank=0.25)
    draws = [draw_augmentation(config, (i,)) for i in range(2000)]
    levels = [draw.blank for draw in draws if draw.blank is not None]
    # 2000 coins of 0.25: standard deviation 0.01
    assert len(levels) / 2000 == pytest.approx(0.25, abs=0.05)
    assert min(levels) == 0.0
    assert max(levels) == 1.0
    assert 0.4 < np.median(levels) < 0.6
    assert [dataclasses.replace(draw, blank=None) for draw in draws] == [
        draw_augmentation(plain, (i,)) for i in range(2000)
    ]


def test_flips_move_image_and_window_together() -> None:
    image = torch.arange(8 * 12.0).reshape(1, 8, 12)
    for h in (False, True):
        for v in (False, True):
            draw = dataclasses.replace(STILL, hflip=h, vflip=v)
            window = (2 / 8, 3 / 12, 6 / 8, 7 / 12)
            y0, x0, y1, x1 = flip_window(window, draw)
            moved = flip(image, draw)
            cut = moved[:, round(y0 * 8) : round(y1 * 8), round(x0 * 12) : round(x1 * 12)]
            assert torch.equal(cut, flip(image[:, 2:6, 3:7], draw))
