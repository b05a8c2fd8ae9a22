"""Charbonnier and edge loss: golden values, loops, what they ignore."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fundusrt.errors import UsageError
from fundusrt_training.losses.enhancement import (
    EnhancementLoss,
    EnhancementLossConfig,
    charbonnier,
    laplacian_residual,
)
from tests.tolerances import LOSS_FLOAT32


def golden() -> tuple[Tensor, Tensor]:
    j = torch.arange(2 * 3 * 16 * 20, dtype=torch.float64).view(2, 3, 16, 20)
    return (0.5 + 0.5 * torch.sin(0.05 * j)).float(), (0.5 + 0.5 * torch.cos(0.03 * j)).float()


def test_golden_values() -> None:
    x, y = golden()
    assert float(charbonnier(x - y, 1e-3)) == pytest.approx(0.401395, abs=LOSS_FLOAT32)
    edges = laplacian_residual(x) - laplacian_residual(y)
    assert float(charbonnier(edges, 1e-3)) == pytest.approx(0.197292, abs=LOSS_FLOAT32)
    loss = EnhancementLoss(EnhancementLossConfig(edge_weight=0.05))(x, y)
    assert float(loss) == pytest.approx(0.401395 + 0.05 * 0.197292, abs=LOSS_FLOAT32)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 11)])
def test_laplacian_residual_against_loops(size: tuple[int, int]) -> None:
    x = np.random.default_rng(0).random(size)
    taps = np.array([0.05, 0.25, 0.4, 0.25, 0.05])

    def blur(values: np.ndarray) -> np.ndarray:
        out = np.zeros(size)
        for i in range(size[0]):
            for k in range(size[1]):
                for a in range(-2, 3):
                    for b in range(-2, 3):
                        near = values[np.clip(i + a, 0, size[0] - 1), np.clip(k + b, 0, size[1] - 1)]
                        out[i, k] += taps[a + 2] * taps[b + 2] * near
        return out

    kept = np.zeros(size)
    kept[::2, ::2] = 4.0 * blur(x)[::2, ::2]
    expected = x - blur(kept)
    found = laplacian_residual(torch.from_numpy(x)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("op", ["laplacian", "sobel", "diff"])
def test_equal_images_cost_the_constant_alone(op: Any) -> None:
    x, y = golden()
    loss = EnhancementLoss(EnhancementLossConfig(edge_op=op))
    assert float(loss(x, x)) == pytest.approx(2e-3, rel=1e-4)
    assert float(loss(x, y)) > 0.4
    assert float(loss(x.bfloat16(), x.bfloat16())) == pytest.approx(2e-3, rel=1e-4)


@pytest.mark.parametrize("op", ["sobel", "diff"])
def test_slopes(op: Any) -> None:
    """A step of one grey level a column has slope 1 everywhere but at the far border, and none down the rows."""
    ramp = torch.arange(6.0).expand(1, 1, 5, 6)
    loss = EnhancementLoss(EnhancementLossConfig(edge_op=op, char_eps=1e-6))
    edge = float(loss(ramp, torch.zeros_like(ramp))) - float(charbonnier(ramp, 1e-6))
    inside = {"sobel": (4 + 2 * 0.5) / 6 / 2, "diff": 5 / 6 / 2}[op]  # sobel: half slopes at replicated borders
    assert edge == pytest.approx(inside, abs=LOSS_FLOAT32)


@pytest.mark.parametrize(
    "fields", [{"edge_weight": -1.0}, {"edge_weight": float("nan")}, {"edge_op": "prewitt"}, {"char_eps": 0.0}], ids=str
)
def test_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"loss.{next(iter(fields))}"):
        EnhancementLossConfig(**fields)
