"""Losses against plain Python, and the sampled window against the enlarged map."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fundusrt.errors import UsageError
from fundusrt_training.losses.consistency import ConsistencyConfig, consistency_loss, sample_window
from fundusrt_training.losses.segmentation import SegmentationLoss, SegmentationLossConfig
from tests.tolerances import LOSS_FLOAT32


def maps(seed: int = 0, n: int = 3, size: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, 1, size, size, generator=generator)
    target = (torch.rand(n, 1, size, size, generator=generator) < 0.3).float()
    target[-1] = 0
    return logits, target


def reference_loss(logits: torch.Tensor, target: torch.Tensor, c: SegmentationLossConfig) -> float:
    """The formulas of the docstring, number by number."""
    bce = dice = tversky = 0.0
    n, _, height, width = logits.shape
    for i in range(n):
        pairs = list(zip(logits[i].double().flatten().tolist(), target[i].flatten().tolist(), strict=True))
        p = [1 / (1 + math.exp(-z)) for z, _ in pairs]
        y = [t for _, t in pairs]
        bce -= sum(math.log(a) if t else math.log(1 - a) for a, t in zip(p, y, strict=True)) / (n * height * width)
        tp = sum(a * t for a, t in zip(p, y, strict=True))
        fp = sum(a * (1 - t) for a, t in zip(p, y, strict=True))
        fn = sum((1 - a) * t for a, t in zip(p, y, strict=True))
        dice += (1 - (2 * tp + c.smooth) / (sum(p) + sum(y) + c.smooth)) / n
        tversky += (1 - (tp + c.smooth) / (tp + c.tversky_a * fp + c.tversky_b * fn + c.smooth)) / n
    return c.bce * bce + c.dice * dice + c.tversky * tversky


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"dice": 0, "tversky": 0},
        {"bce": 0, "tversky": 0},
        {"bce": 0, "dice": 0},
        {"bce": 0.5, "dice": 2, "tversky": 3},
        {"tversky_a": 0.8, "tversky_b": 0.1, "smooth": 1e-3},
    ],
)
def test_segmentation_loss_is_the_formula(fields: dict[str, Any]) -> None:
    config = SegmentationLossConfig(**fields)
    logits, target = maps()
    ours = float(SegmentationLoss(config)(logits, target))
    assert ours == pytest.approx(reference_loss(logits, target, config), rel=LOSS_FLOAT32)


def test_segmentation_loss_of_empty_maps_is_finite_and_small() -> None:
    value = SegmentationLoss()(torch.full((1, 1, 8, 8), -20.0), torch.zeros(1, 1, 8, 8))
    assert 0 <= float(value) < 1e-5


def test_bf16_logits_are_taken_in_float32() -> None:
    logits, target = maps()
    half = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = SegmentationLoss()(half, target)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(SegmentationLoss()(half.float(), target)), rel=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("columns", [1, 3])
def test_window_is_the_cut_of_the_enlarged_map(rows: int, columns: int) -> None:
    size = 16
    p = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(3))
    large = F.interpolate(p, size=(size * rows, size * columns), mode="bilinear", align_corners=False)
    for row in range(rows):
        for column in range(columns):
            window = torch.tensor([[row / rows, column / columns, (row + 1) / rows, (column + 1) / columns]])
            cut = large[..., row * size : (row + 1) * size, column * size : (column + 1) * size]
            # coordinates of up to 80 px in float32: 80 * 2**-23, times a slope of at most 1 per px
            torch.testing.assert_close(sample_window(p, window, size, size), cut, rtol=0, atol=2e-5)


def test_window_of_any_position() -> None:
    p = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(4))
    large = F.interpolate(p, size=(48, 64), mode="bilinear", align_corners=False)
    windows = torch.tensor([[5 / 48, 11 / 64, 21 / 48, 27 / 64], [0 / 48, 48 / 64, 16 / 48, 64 / 64]])
    expected = torch.cat((large[:1, :, 5:21, 11:27], large[1:, :, 0:16, 48:64]))
    torch.testing.assert_close(sample_window(p, windows, 16, 16), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", ["mse", "l1", "bce"])
def test_consistency_is_the_formula(kind: Any) -> None:
    large, _ = maps(5)
    small, _ = maps(6)
    windows = torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 3)
    ours = float(consistency_loss(large, small, windows, ConsistencyConfig(type=kind)))
    a = 1 / (1 + np.exp(-large.double().numpy()))
    b = 1 / (1 + np.exp(-small.double().numpy()))
    expected = {
        "mse": np.mean((a - b) ** 2),
        "l1": np.mean(abs(a - b)),
        "bce": np.mean(-b * np.log(a) - (1 - b) * np.log(1 - a)),
    }[kind]
    assert ours == pytest.approx(float(expected), rel=LOSS_FLOAT32)


@pytest.mark.parametrize(("detach", "moves"), [("small", False), ("none", True)])
@pytest.mark.parametrize("kind", ["mse", "l1", "bce"])
def test_detach_decides_which_branch_moves(kind: Any, detach: Any, moves: bool) -> None:
    large, small = (m[0].requires_grad_() for m in (maps(7), maps(8)))
    consistency_loss(large, small, torch.tensor([[0.0, 0.0, 0.5, 0.5]] * 3), ConsistencyConfig(kind, detach)).backward()
    assert large.grad is not None
    assert large.grad.abs().max() > 0
    assert (small.grad is not None) == moves


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bce": -1.0}, r"loss\.bce: got -1"),
        ({"smooth": 0.0}, r"loss\.smooth: got 0"),
        ({"bce": 0, "dice": 0, "tversky": 0}, "at least one weight above 0"),
        ({"dice": math.nan}, r"loss\.dice: got nan"),
    ],
)
def test_bad_loss_weights_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SegmentationLossConfig(**fields)


def test_bad_consistency_is_refused() -> None:
    with pytest.raises(UsageError, match=r"consistency\.type: got 'kl'; expected mse, l1 or bce"):
        ConsistencyConfig(type="kl")  # pyright: ignore
    with pytest.raises(UsageError, match=r"consistency\.detach"):
        ConsistencyConfig(detach="large")  # pyright: ignore
