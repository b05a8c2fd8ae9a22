"""The attention guided filter against loops in float64, clipped windows, independence of the batch; float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fundusrt_training.models.guided_filter import attention_guided_filter, window_mean
from tests.tolerances import GUIDED_FILTER_FLOAT32, GUIDED_FILTER_FLOAT64

Array = np.ndarray


def box(values: Array, radius: int) -> tuple[Array, Array]:
    """Mean and number of values in each clipped window, by loops."""
    height, width = values.shape
    mean, count = np.zeros_like(values), np.zeros_like(values)
    for y in range(height):
        for x in range(width):
            part = values[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            mean[y, x], count[y, x] = part.mean(), part.size
    return mean, count


def reference(x: Array, y: Array, a: Array, radius: int, eps: float) -> tuple[Array, Array]:
    """Averaged A and b of one channel, as the authors' formulas stand."""
    a = np.abs(a) + 1e-12
    t = a / a.sum()

    def mean(values: Array) -> Array:
        return box(values, radius)[0]

    count = box(x, radius)[1]
    slope = (mean(a * a * x * y) - count * mean(t * a * x) * mean(a * y)) / (
        np.abs(mean(a * a * x * x) - count * mean(t * a * x) * mean(a * x)) + eps
    )
    return mean(slope), mean((mean(a * y) - slope * mean(a * x)) / mean(a))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 4), (11, 13)])
def test_against_loops(size: tuple[int, int], radius: int) -> None:
    x, y, a = draw(2, 3, *size), draw(2, 3, *size, seed=1) * 4 - 2, draw(2, 1, *size, seed=2)
    guide = draw(2, 3, 2 * size[0], 2 * size[1], seed=3)
    out = attention_guided_filter(x, y, guide, a, radius, 0.01)
    for image in range(2):
        for channel in range(3):
            maps = reference(*(v[image, c].numpy() for v, c in ((x, channel), (y, channel), (a, 0))), radius, 0.01)
            slope, offset = (
                F.interpolate(torch.from_numpy(m)[None, None], guide.shape[2:], mode="bilinear")[0, 0] for m in maps
            )
            expected = slope * guide[image, channel] + offset
            scale = float(expected.abs().max()) + 1.0
            torch.testing.assert_close(out[image, channel], expected, rtol=0, atol=GUIDED_FILTER_FLOAT64 * scale)


@pytest.mark.parametrize("radius", [1, 2, 5])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 5)])
def test_window_mean_against_loops(size: tuple[int, int], radius: int) -> None:
    values = draw(1, 1, *size)
    expected = torch.from_numpy(box(values[0, 0].numpy(), radius)[0])
    torch.testing.assert_close(window_mean(values, radius)[0, 0], expected, rtol=0, atol=GUIDED_FILTER_FLOAT64)


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    x, y, a = draw(2, 4, 16, 16), draw(2, 4, 16, 16, seed=1), draw(2, 1, 16, 16, seed=2)
    guide = draw(2, 4, 32, 32, seed=3)
    both = attention_guided_filter(x, y, guide, a)
    for image in range(2):
        at = slice(image, image + 1)
        alone = attention_guided_filter(x[at], y[at], guide[at], a[at])
        torch.testing.assert_close(both[at], alone, rtol=0, atol=GUIDED_FILTER_FLOAT64)


def test_a_constant_comes_back() -> None:
    """No covariance with the guide: A is 0 where the attention is even, and b the constant."""
    x, guide = draw(1, 1, 8, 8), draw(1, 1, 16, 16, seed=1)
    out = attention_guided_filter(torch.zeros_like(x), torch.full_like(x, 3.0), guide, torch.ones(1, 1, 8, 8).double())
    torch.testing.assert_close(out, torch.full_like(guide, 3.0), rtol=0, atol=GUIDED_FILTER_FLOAT64)


@pytest.mark.parametrize("steepness", [1, 10, 20])
@pytest.mark.parametrize("scale", [1, 30])
def test_float32_loses_nothing_where_the_attention_is_tiny(steepness: int, scale: int) -> None:
    """The divisors are an attention that may be 1e-12 and a variance that may be 0.01: both are met here."""
    x, y, gate = draw(1, 4, 32, 32), draw(1, 4, 32, 32, seed=1) - 0.5, draw(1, 1, 32, 32, seed=2) * 4 - 2
    x, y, guide = scale * x, scale * y, scale * draw(1, 4, 64, 64, seed=3)
    attention = torch.sigmoid(steepness * gate)
    assert steepness < 20 or float(attention.min()) < 1e-15
    expected = attention_guided_filter(x, y, guide, attention)
    out = attention_guided_filter(x.float(), y.float(), guide.float(), attention.float())
    assert out.dtype == torch.float32
    assert float((out - expected).abs().max()) <= GUIDED_FILTER_FLOAT32 * float(expected.abs().max())


def test_no_attention_at_all_is_finite() -> None:
    out = attention_guided_filter(*(draw(1, 2, 6, 6, seed=s) for s in (0, 1, 2)), torch.zeros(1, 1, 6, 6))
    assert bool(torch.isfinite(out).all())


def test_half_precision_is_filtered_in_float32() -> None:
    random = torch.Generator().manual_seed(4)
    guide, low, attention = (
        torch.rand(2, channels, side, side, generator=random).bfloat16() for channels, side in ((4, 16), (4, 8), (1, 8))
    )
    guide_low = guide[..., ::2, ::2]
    found = attention_guided_filter(guide_low, low, guide, attention)
    wide = attention_guided_filter(guide_low.float(), low.float(), guide.float(), attention.float())
    assert found.dtype == torch.float32
    assert torch.equal(found, wide)
