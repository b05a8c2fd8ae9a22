"""One wavelet step: golden values, PyWavelets as the oracle, and the Haar identity against the library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fundusrt.errors import UsageError
from fundusrt_training.models.wavelet import HaarDown, HaarUp, WaveletDown, WaveletUp
from tests.tolerances import WAVELET_STEP_FLOAT64


def exact_haar(module: nn.Module) -> nn.Module:
    """Make the module float64 with taps of +-sqrt(1/2); the library keeps them rounded to float32."""
    module.double()
    for _, taps in module.named_buffers():
        taps.copy_(taps.sign() * math.sqrt(0.5))
    return module


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_golden_haar_values() -> None:
    low, highs = WaveletDown()(torch.arange(16.0).reshape(1, 1, 4, 4))
    expected = {
        "LL": [[5, 9], [21, 25]],
        "LH": [[-4, -4], [-4, -4]],
        "HL": [[-1, -1], [-1, -1]],
        "HH": [[0, 0], [0, 0]],
    }
    for band, values in zip((low, *highs.unbind(2)), expected.values(), strict=True):
        # taps and two sums of values below 32 are rounded to float32
        torch.testing.assert_close(band[0, 0], torch.tensor(values, dtype=torch.float32), rtol=0, atol=32 * 2.0**-22)


def test_ll_is_twice_the_mean() -> None:
    for down in (exact_haar(WaveletDown()), HaarDown()):
        low, _ = down(torch.full((1, 1, 4, 4), 3.0, dtype=torch.float64))
        torch.testing.assert_close(
            low, torch.full((1, 1, 2, 2), 6.0, dtype=torch.float64), rtol=0, atol=WAVELET_STEP_FLOAT64
        )


@pytest.mark.parametrize("wave", ["haar", "db2", "bior2.2"])
@pytest.mark.parametrize("mode", ["zero", "symmetric", "reflect", "periodization", "periodic"])
@pytest.mark.parametrize("size", [(8, 12), (9, 11)])
def test_library_step_equals_pywavelets(wave: str, mode: str, size: tuple[int, int]) -> None:
    x = noise(*size)
    low, highs = WaveletDown(wave, mode).double()(x[None, None])
    expected_low, expected_highs = pywt.dwt2(x.numpy(), wave, mode)
    for band, expected in zip((low[0, 0], *highs[0, 0]), (expected_low, *expected_highs), strict=True):
        # the library's taps are float32: relative 2**-24 each, at most 2 x 8 of them on values of order 1..10
        np.testing.assert_allclose(band.numpy(), expected, rtol=0, atol=1e-5)


@given(height=st.integers(1, 8), width=st.integers(1, 8), channels=st.integers(1, 3), seed=st.integers(0, 99))
def test_identity_form_equals_library_form(height: int, width: int, channels: int, seed: int) -> None:
    features = noise(2, channels, 2 * height, 2 * width, seed=seed).requires_grad_()
    low = noise(2, channels, height, width, seed=seed + 1).requires_grad_()
    cotangent = noise(2, channels, 2 * height, 2 * width, seed=seed + 2)
    results: list[list[Tensor]] = []
    for down, up in ((exact_haar(WaveletDown()), exact_haar(WaveletUp())), (HaarDown(), HaarUp())):
        ll, highs = down(features)
        out = up(low, highs, features)
        zero = up(low, None, features)
        gradients = torch.autograd.grad(
            (out + 3 * zero * features + up(low + ll, highs, features)), (features, low), cotangent
        )
        results.append([ll, out, zero, *gradients])
    for library, identity in zip(*results, strict=True):
        torch.testing.assert_close(identity, library, rtol=0, atol=10 * WAVELET_STEP_FLOAT64)


@pytest.mark.parametrize("size", [(8, 8), (9, 12), (7, 13)])
@pytest.mark.parametrize("wave", ["haar", "db2"])
def test_cropping_keeps_the_round_trip_exact_on_odd_sizes(size: tuple[int, int], wave: str) -> None:
    x = noise(1, 2, *size)
    low, highs = WaveletDown(wave).double()(x)
    back = WaveletUp(wave, size_align="crop").double()(low, highs, x)
    assert back.shape == x.shape
    torch.testing.assert_close(back, x, rtol=0, atol=1e-5)  # float32 taps


def test_interpolation_gives_the_skip_size_and_other_numbers() -> None:
    x = noise(1, 1, 9, 9)
    low, highs = WaveletDown().double()(x)
    back = WaveletUp(size_align="interpolate").double()(low, highs, x)
    assert back.shape == x.shape
    assert not torch.allclose(back, x)


def test_no_filter_taps_in_the_state_dict() -> None:
    assert not WaveletDown().state_dict()
    assert not WaveletUp().state_dict()


def test_bad_names_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unet\.wave: got 'morlet'; expected a discrete wavelet"):
        WaveletDown("morlet")
    with pytest.raises(UsageError, match=r"unet\.dwt_mode: got 'constant'; expected zero, symmetric"):
        WaveletUp("haar", "constant")
    with pytest.raises(UsageError, match=r"unet\.size_align: got 'pad'; expected crop or interpolate"):
        WaveletUp(size_align="pad")  # pyright: ignore
