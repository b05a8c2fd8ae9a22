"""R0: the wavelet steps against matrices built from PyWavelets' filters, in float64."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pywt
import torch
from torch import nn

from fundusrt.agreement import largest_difference, measured
from fundusrt.certificate import Measurement, Rung
from fundusrt.ladder import LADDER
from fundusrt_export.parity.inputs import array_sha256
from fundusrt_export.rewrite.analysis import ConvDWT
from fundusrt_export.rewrite.synthesis import ConvIDWT
from fundusrt_training.models.wavelet import DWT_MODES, WaveletDown, WaveletUp

__all__ = ["NAME", "analysis_matrices", "wavelet_matrix"]

NAME = "wavelet-matrix"
SIZES = ((32, 48), (33, 47))
"""Even first, then odd, neither square; long enough for the longest filters in use."""

Matrix = npt.NDArray[np.float64]


def analysis_matrices(length: int, wave: str, mode: str) -> tuple[Matrix, Matrix]:
    """Return the low and the high analysis of a signal as matrices (coefficients, length): one column a unit signal."""
    columns = [pywt.dwt(unit, wave, mode) for unit in np.eye(length)]
    low, high = (np.stack([column[k] for column in columns], axis=1) for k in (0, 1))
    return np.asarray(low, np.float64), np.asarray(high, np.float64)


@torch.no_grad()
def wavelet_matrix(forms: Mapping[str, nn.Module], wave: str, mode: str) -> Rung:
    """Compare the steps of networks, and the rewritten transforms of this wavelet in every padding mode.

    Args:
        forms: networks by name, with steps `down`, (N, C, H, W) to the low band and the high bands, and `up`.
        wave: name of their wavelet.
        mode: their padding mode.

    Returns:
        For each form and mode the largest |difference| of a band over the range of the truth, limit 1e-6, and of the
        signal that comes back, limit 1e-5. A form without high bands is measured on even sizes, for which it is made.
    """
    figures: list[Measurement] = []
    for name, form in forms.items():
        figures += _figures(name, form.get_submodule("down"), form.get_submodule("up"), wave, mode)
    for each in DWT_MODES:
        down, up = WaveletDown(wave, each), WaveletUp(wave, each)
        down.dwt, up.idwt = ConvDWT.from_library(down.dwt, each), ConvIDWT.from_library(up.idwt, each)
        figures += _figures(f"convolution, mode {each}", down, up, wave, each)
    hashes = {f"noise {height} x {width}": array_sha256(_noise(height, width)) for height, width in SIZES}
    return Rung(name=NAME, compares=LADDER[NAME].compares, inputs=hashes, measurements=tuple(figures))


def _figures(name: str, down: nn.Module, up: nn.Module, wave: str, mode: str) -> list[Measurement]:
    worst = {"bands": 0.0, "round trip": 0.0}
    has_bands = True
    for height, width in SIZES:
        image = _noise(height, width)
        x = torch.from_numpy(image.astype(np.float32))[None, None]
        if height % 2 and not has_bands:
            continue
        low, highs = down(x)
        has_bands = highs.ndim == 5
        made = [low[0, 0], *(highs[0, 0] if has_bands else ())]
        for truth, band in zip(_bands(image, wave, mode), made, strict=False):
            worst["bands"] = max(worst["bands"], _relative(truth, band.double().numpy()))
        # Not only the image itself: an inverse that hands on its skip and ignores its input would give that back too.
        change = _noise(*low.shape[-2:])
        for added in (np.zeros_like(change), change):
            truth = image + pywt.idwt2((added, (None, None, None)), wave, mode)[:height, :width]
            back = up(low + torch.from_numpy(added.astype(np.float32)), highs, x)[0, 0].double().numpy()
            worst["round trip"] = max(worst["round trip"], _relative(truth, back))
    return [measured(NAME, limit, value, name) for limit, value in worst.items()]


def _bands(image: Matrix, wave: str, mode: str) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """LL, LH (high along the height), HL, HH."""
    low_h, high_h = analysis_matrices(image.shape[0], wave, mode)
    low_w, high_w = analysis_matrices(image.shape[1], wave, mode)
    return (
        low_h @ image @ low_w.T,
        high_h @ image @ low_w.T,
        low_h @ image @ high_w.T,
        high_h @ image @ high_w.T,
    )


def _relative(truth: Matrix, made: Matrix) -> float:
    return largest_difference(truth, made) / float(np.ptp(truth))


def _noise(height: int, width: int) -> Matrix:
    """Of float32 values, so that both sides see the same."""
    return np.random.default_rng(0).random((height, width), np.float32).astype(np.float64)
