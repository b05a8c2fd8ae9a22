"""What must hold for any wavelet, size and mode: equality, perfect reconstruction, energy, adjoint, equal refusals."""

from __future__ import annotations

import pytest
import pywt
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fundusrt.errors import InvalidInput
from fundusrt_export.rewrite.padding import extend_periodically
from tests.export.wavelet_cases import MODES, distance, farthest, forward_of, inverse_of, noise, pywt_forward, rewritten
from tests.tolerances import WAVELET_REWRITE_FLOAT64, WAVELET_STEP_FLOAT64

WAVELETS = st.sampled_from(pywt.wavelist(kind="discrete"))
LENGTHS = st.one_of(st.integers(1, 12), st.sampled_from([13, 17, 23, 31, 32, 37, 53, 64, 101]))
ORTHONORMAL = ["haar", "db2", "db5", "sym4", "sym8", "coif2"]


@given(
    wave=WAVELETS,
    mode=st.sampled_from(MODES),
    height=LENGTHS,
    width=LENGTHS,
    levels=st.integers(1, 3),
    channels=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=150)
def test_equal_to_the_library_or_refused(
    wave: str, mode: str, height: int, width: int, levels: int, channels: int, seed: int
) -> None:
    """Where the library answers as PyWavelets does, so does the rewrite; elsewhere the rewrite refuses."""
    x = noise(2, channels, height, width, seed=seed)
    library = forward_of(wave, mode, levels)
    try:
        made = rewritten(library)(x)
    except InvalidInput:
        assert not _library_is_right(library, x, wave, mode, levels)
        return
    assert farthest(library(x), made) <= WAVELET_REWRITE_FLOAT64
    inverse = inverse_of(wave, mode)
    assert distance(inverse(made), rewritten(inverse)(made)) <= WAVELET_REWRITE_FLOAT64


def _library_is_right(library: torch.nn.Module, x: torch.Tensor, wave: str, mode: str, levels: int) -> bool:
    try:
        answer = library(x)
        return farthest(pywt_forward(x, wave, mode, levels), answer) <= 1e-9
    except (RuntimeError, ValueError):
        return False


@given(wave=WAVELETS, mode=st.sampled_from(MODES), height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=80)
def test_perfect_reconstruction(wave: str, mode: str, height: int, width: int) -> None:
    x = noise(1, 2, height, width)
    try:
        coefficients = rewritten(forward_of(wave, mode))(x)
    except InvalidInput:
        assume(False)
    back = rewritten(inverse_of(wave, mode))(coefficients)[:, :, :height, :width]
    # dmey and the longer tabulated filters are themselves only approximately orthonormal
    known = pywt.idwt(*pywt.dwt(x[0, 0].numpy(), wave, mode, axis=1), wave, mode, axis=1)[:, :width]
    assert distance(x, back) <= 1e-12 + 4 * distance(x[0, 0], known)


@pytest.mark.parametrize("wave", ORTHONORMAL)
def test_parseval(wave: str) -> None:
    """Orthonormal wavelets keep the energy; periodization is the mode without redundant border coefficients."""
    x = noise(1, 1, 32, 48)
    low, highs = rewritten(forward_of(wave, "periodization", 2))(x)
    energy = low.square().sum() + sum(high.square().sum() for high in highs)
    # sym4 and sym8 are tabulated to about 1e-11
    torch.testing.assert_close(energy, x.square().sum(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("mode", ["zero", "periodization"])
@pytest.mark.parametrize("wave", ORTHONORMAL)
def test_synthesis_is_the_adjoint_of_analysis(wave: str, mode: str) -> None:
    """<A x, c> = <x, S c> for orthonormal wavelets where nothing but zeros, or the period, is added to the signal."""
    analysis, synthesis = rewritten(forward_of(wave, mode)), rewritten(inverse_of(wave, mode))
    x = noise(1, 1, 24, 26)
    low, (high,) = analysis(x)
    c_low, c_high = noise(*low.shape, seed=1), noise(*high.shape, seed=2)
    left = (low * c_low).sum() + (high * c_high).sum()
    right = (x * synthesis((c_low, [c_high]))[:, :, :24, :26]).sum()
    torch.testing.assert_close(left, right, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_gradient_is_the_true_one(mode: str) -> None:
    """The library's backward is not, in most modes; a rewritten model may be trained."""
    forward = rewritten(forward_of("db2", mode, 2))

    def all_bands(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        low, highs = forward(x)
        return low, *highs

    x = noise(1, 1, 12, 11).requires_grad_()
    assert torch.autograd.gradcheck(all_bands, (x,))


def test_golden_haar_values() -> None:
    low, (high,) = rewritten(forward_of("haar", "zero"))(torch.arange(16, dtype=torch.float64).reshape(1, 1, 4, 4))
    expected = [[[5, 9], [21, 25]], [[-4, -4], [-4, -4]], [[-1, -1], [-1, -1]], [[0, 0], [0, 0]]]
    for band, values in zip((low[0, 0], *high[0, 0]), expected, strict=True):
        truth = torch.tensor(values, dtype=torch.float64)
        torch.testing.assert_close(band, truth, rtol=0, atol=32 * WAVELET_STEP_FLOAT64)


def test_band_order() -> None:
    """A pattern along H shows in band 0 only, along W in band 1 only."""
    stripes = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(4)
    for pattern, band in ((stripes[:, None].expand(8, 8), 0), (stripes[None].expand(8, 8), 1)):
        low, (high,) = rewritten(forward_of("haar", "zero"))(pattern[None, None].contiguous())
        energy = high.square().sum((0, 1, 3, 4))
        assert energy[band] == pytest.approx(64.0)
        assert float(energy.sum() - energy[band] + low.square().sum()) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_four_filters_keep_the_library_crossing(mode: str) -> None:
    """The "col" pair acts along W, the "row" pair along H, in both directions; the lengths may differ."""
    col, row = pywt.Wavelet("db3"), pywt.Wavelet("bior2.2")
    x = noise(1, 2, 16, 19)
    forward = forward_of((col.dec_lo, col.dec_hi, row.dec_lo, row.dec_hi), mode)
    inverse = inverse_of((col.rec_lo, col.rec_hi, row.rec_lo, row.rec_hi), mode)
    made = rewritten(forward)(x)
    assert farthest(forward(x), made) <= WAVELET_REWRITE_FLOAT64
    assert distance(inverse(made), rewritten(inverse)(made)) <= WAVELET_REWRITE_FLOAT64
    # along W it is what PyWavelets does with the "col" wavelet
    along_w = pywt.dwt(x.numpy(), col, mode, axis=3)[0]
    assert distance(pywt.dwt(along_w, row, mode, axis=2)[0], made[0]) <= WAVELET_REWRITE_FLOAT64


def test_missing_high_bands_are_zeros() -> None:
    inverse = rewritten(inverse_of("db2", "symmetric"))
    low, highs = rewritten(forward_of("db2", "symmetric", 2))(noise(1, 2, 16, 16))
    zeros = [torch.zeros_like(high) for high in highs]
    assert distance(inverse((low, [zeros[0], zeros[1]])), inverse((low, [zeros[0], None]))) <= WAVELET_STEP_FLOAT64
    assert torch.equal(inverse((low, [])), low)
    # the library makes float32 zeros here and fails for other dtypes
    assert inverse((low, [None])).dtype == torch.float64


def test_no_level_is_the_identity() -> None:
    x = noise(1, 1, 5, 5)
    low, highs = rewritten(forward_of("db2", "zero", 0))(x)
    assert torch.equal(low, x)
    assert highs == []


@pytest.mark.parametrize(
    ("mode", "length", "least"),
    [("reflect", 7, 8), ("periodization", 6, 7), ("periodization", 5, 7)],
)
def test_too_small_is_refused_with_the_size_to_use(mode: str, length: int, least: int) -> None:
    with pytest.raises(InvalidInput, match=rf"mode {mode}, 8 taps: got width {length}; expected at least {least}; use"):
        rewritten(forward_of("db4", mode))(noise(1, 1, 16, length))
    rewritten(forward_of("db4", mode))(noise(1, 1, 16, least))


@pytest.mark.parametrize("mode", MODES)
def test_synthesis_refuses_what_does_not_fit(mode: str) -> None:
    inverse = rewritten(inverse_of("db4", mode))
    with pytest.raises(InvalidInput, match=r"8 taps: got 2 coefficients; expected at least"):
        inverse((noise(1, 1, 2, 8), [None]))
    with pytest.raises(InvalidInput, match=r"high band: got \(1, 1, 3, 8, 9\); expected \(1, 1, 3, 8, 8\)"):
        inverse((noise(1, 1, 8, 8), [noise(1, 1, 3, 8, 9)]))


@given(length=st.integers(1, 6), before=st.integers(0, 20), after=st.integers(0, 20))
def test_periodic_extension_wraps_as_often_as_needed(length: int, before: int, after: int) -> None:
    x = torch.arange(length, dtype=torch.float64).reshape(1, 1, 1, length)
    made = extend_periodically(x, 3, before, after).flatten()
    expected = torch.remainder(torch.arange(-before, length + after), length).double()
    assert torch.equal(made, expected)
