"""Rewritten transforms against pytorch_wavelets and PyWavelets over wavelet x mode x size x levels x dtype."""

from __future__ import annotations

import itertools

import pytest
import pywt
import torch

from tests.export.wavelet_cases import (
    MODES,
    SIZES,
    WAVES,
    distance,
    farthest,
    forward_of,
    inverse_of,
    noise,
    pywt_forward,
    pywt_inverse,
    rewritten,
)
from tests.tolerances import WAVELET_REWRITE_FLOAT32, WAVELET_REWRITE_FLOAT64

LIMITS = {torch.float64: WAVELET_REWRITE_FLOAT64, torch.float32: WAVELET_REWRITE_FLOAT32}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("mode", MODES)
def test_grid(mode: str, dtype: torch.dtype) -> None:
    """Every figure of the grid is collected before the test fails."""
    wrong: list[str] = []
    for wave, (height, width), levels in itertools.product(WAVES, SIZES, (1, 2)):
        if mode in ("reflect", "periodization") and levels == 2 and min(height, width) < 2 * pywt.Wavelet(wave).dec_len:
            continue  # the second level would be refused
        x = noise(1, 2, height, width, dtype=dtype)
        forward, inverse = forward_of(wave, mode, levels, dtype), inverse_of(wave, mode, dtype)
        reference = forward(x)
        made = rewritten(forward)(x)
        joined = rewritten(inverse)(reference)
        truth = pywt_forward(x, wave, mode, levels)
        truth_joined = pywt_inverse(*truth, wave, mode)
        figures = {
            "analysis, library": farthest(reference, made),
            "analysis, PyWavelets": farthest(truth, made),
            "synthesis, library": distance(inverse(reference), joined),
            "synthesis, PyWavelets": distance(truth_joined, joined),
        }
        wrong += [
            f"{wave} {height}x{width} J={levels} {k}: {v:.1e}" for k, v in figures.items() if not v <= LIMITS[dtype]
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("mode", MODES)
def test_every_discrete_wavelet(mode: str) -> None:
    wrong: list[str] = []
    names = pywt.wavelist(kind="discrete")
    assert len(names) >= 106
    for wave in names:
        taps = pywt.Wavelet(wave).dec_len
        # Odd x even; as small as the mode allows, and where it allows that, smaller than the filters.
        height, width = (taps + 1, taps + 2) if mode in ("reflect", "periodization") else (15, 8)
        x = noise(1, 1, height, width)
        forward, inverse = forward_of(wave, mode), inverse_of(wave, mode)
        made = rewritten(forward)(x)
        figures = {
            "library": farthest(forward(x), made),
            "PyWavelets": farthest(pywt_forward(x, wave, mode, 1), made),
            "inverse": distance(inverse(made), rewritten(inverse)(made)),
        }
        wrong += [f"{wave} {k}: {v:.1e}" for k, v in figures.items() if not v <= WAVELET_REWRITE_FLOAT64]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wave", ["haar", "db4", "bior4.4", "db9"])
def test_a_float32_module_in_double_keeps_the_library_rounded_filters(wave: str, mode: str) -> None:
    """Rewriting before or after `.double()` gives the same: the kernel is derived from the rounded filters."""
    x = noise(1, 2, 40, 41)
    reference = forward_of(wave, mode, dtype=torch.float32).double()(x)
    before = rewritten(forward_of(wave, mode, dtype=torch.float32)).double()(x)
    after = rewritten(forward_of(wave, mode, dtype=torch.float32).double())(x)
    assert farthest(reference, before) <= WAVELET_REWRITE_FLOAT64
    assert farthest(reference, after) <= WAVELET_REWRITE_FLOAT64
