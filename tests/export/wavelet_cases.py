"""Transforms of the library, their rewrites and PyWavelets' answers, for the tests of the rewrite."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pywt
import torch
from torch import Tensor, nn

from fundusrt_export.rewrite import rewrite_wavelets
from fundusrt_export.rewrite.library import pytorch_wavelets

MODES = ("zero", "symmetric", "reflect", "periodic", "periodization")
WAVES = ("haar", "db2", "db4", "sym4", "coif1", "bior1.3", "bior2.2", "bior4.4")
SIZES = ((32, 32), (33, 32), (32, 35), (31, 33), (17, 29))

library = pytorch_wavelets()


@contextmanager
def default_dtype(dtype: torch.dtype) -> Generator[None]:
    """The library rounds its filters to the default dtype when it is constructed."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def forward_of(wave: Any, mode: str, levels: int = 1, dtype: torch.dtype = torch.float64) -> nn.Module:
    with default_dtype(dtype):
        return library.DWTForward(levels, wave, mode)


def inverse_of(wave: Any, mode: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    with default_dtype(dtype):
        return library.DWTInverse(wave, mode)


def rewritten(module: nn.Module) -> nn.Module:
    return rewrite_wavelets(module)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def pywt_forward(x: Tensor, wave: str, mode: str, levels: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """(N, C, H, W) to the low band and J high bands, finest first, by PyWavelets in float64."""
    low: np.ndarray = x.double().numpy()
    highs: list[np.ndarray] = []
    for _ in range(levels):
        low, bands = pywt.dwt2(low, wave, mode, axes=(2, 3))
        highs.append(np.stack(bands, axis=2))
    return low, highs


def pywt_inverse(low: np.ndarray, highs: list[np.ndarray], wave: str, mode: str) -> np.ndarray:
    for high in reversed(highs):
        low = low[:, :, : high.shape[3], : high.shape[4]]
        low = pywt.idwt2((low, tuple(high[:, :, band] for band in range(3))), wave, mode, axes=(2, 3))
    return low


def distance(reference: Any, other: Any) -> float:
    """Largest difference relative to max(1, largest value); infinity for other shapes and for NaN."""
    reference, other = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if reference.shape != other.shape or not np.isfinite(other).all():
        return float("inf")
    return float(np.abs(reference - other).max() / max(1.0, np.abs(reference).max()))


def flat(output: tuple[Any, list[Any]]) -> list[Any]:
    """Low band and high bands in one list."""
    return [output[0], *output[1]]


def farthest(reference: tuple[Any, list[Any]], other: tuple[Any, list[Any]]) -> float:
    pairs = list(zip(flat(reference), flat(other), strict=True))
    return max(distance(a, b) for a, b in pairs)
