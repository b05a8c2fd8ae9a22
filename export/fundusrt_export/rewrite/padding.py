"""Border extension of the five working modes of pytorch_wavelets, with slices and concatenation only.

A length-N axis and filters of L taps. Before / after the samples that the strided convolution reads:

| mode | before | after | rule |
|---|---|---|---|
| zero | L-2 | L-2 + (N+L) mod 2 | zeros |
| symmetric | L-2 | L-2 + (N+L) mod 2 | half-sample mirror, the edge sample is repeated |
| reflect | L-2 | L-2 + (N+L) mod 2 | whole-sample mirror, the edge sample is not repeated |
| periodic | L-2 | L-2 + (N+L) mod 2 | circular |
| periodization | L/2-1 | L/2-1 | circular, after one copy of the last sample was appended to an odd N |

When N is not known at trace time, `after` is L-1: the extra sample is read only when N+L is odd, so one graph serves
both parities. `periodization` has no such form; its dynamic axes must be declared even.

Why slices: index tables become GatherND in ONNX, `Pad(wrap)` needs opset 19, ONNX has no symmetric mode.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fundusrt.errors import InvalidInput

__all__ = ["MODES", "analysis_margins", "canonical_mode", "check_length", "extend", "extend_periodically"]

MODES = ("zero", "symmetric", "reflect", "periodic", "periodization")


def canonical_mode(mode: str) -> str | None:
    """Return the mode under its full name, or None when pytorch_wavelets itself cannot run it."""
    name = "periodization" if mode == "per" else mode
    return name if name in MODES else None


def analysis_margins(length: int, taps: int, mode: str) -> tuple[int, int]:
    """Return how many samples to add before and after an axis of `length` samples (even already for periodization)."""
    if mode == "periodization":
        return taps // 2 - 1, taps // 2 - 1
    if type(length) is not int:  # a symbolic or traced size: the parity-free form
        return taps - 2, taps - 1
    return taps - 2, taps - 2 + (length + taps) % 2


def check_length(length: int, taps: int, mode: str, axis: str) -> None:
    """Refuse the sizes at which the library itself raises, or at which it differs from PyWavelets.

    Args:
        length: samples of the axis, before any extension.
        taps: filter length L.
        mode: one of `MODES`.
        axis: `height` or `width`, for the message.

    Raises:
        InvalidInput: an empty axis; `reflect` below L samples (the mirror would leave the signal: the library raises);
            `periodization` below L samples after rounding up to even (the library wraps its border once, PyWavelets as
            often as needed, so there is no one answer to equal).
    """
    least = 1
    have = length
    if mode == "reflect":
        least = taps
    elif mode == "periodization":
        least = taps
        have = length + length % 2
    if have < least:
        raise InvalidInput(
            f"wavelet analysis, mode {mode}, {taps} taps",
            got=f"{axis} {length}",
            expected=f"at least {least - 1 if mode == 'periodization' and least > 1 else least}",
            fix="use a larger image, fewer levels, a shorter wavelet, or mode zero, symmetric or periodic",
        )


def extend(x: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """Lengthen one axis of `x` by the rule of `mode`.

    Args:
        x: (N, C, H, W), any float dtype.
        dim: 2 for the height, 3 for the width.
        before: samples to add in front, at least 0.
        after: samples to add behind, at least 0.
        mode: one of `MODES`.
    """
    if before == 0 and after == 0:
        return x
    if mode == "zero":
        return functional.pad(x, (0, 0, before, after) if dim == 2 else (before, after))
    if mode == "reflect":
        return _mirror(x, dim, before, after, skip=1)
    if mode == "symmetric":
        return _extend_symmetrically(x, dim, before, after)
    return extend_periodically(x, dim, before, after)


def extend_periodically(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Lengthen one axis circularly; margins longer than the axis wrap as often as needed."""
    length = x.shape[dim]
    if before <= length and after <= length:
        parts = [x.narrow(dim, length - before, before), x, x.narrow(dim, 0, after)]
        return torch.cat([part for part, size in zip(parts, (before, 1, after), strict=True) if size], dim)
    return _cut_from_tiling(x, length, dim, before, x.shape[dim], after)


def _extend_symmetrically(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    length = x.shape[dim]
    if before <= length and after <= length:
        return _mirror(x, dim, before, after, skip=0)
    # A half-sample mirror repeated for ever is periodic in the signal followed by its own mirror image.
    return _cut_from_tiling(torch.cat([x, x.flip(dim)], dim), 2 * length, dim, before, length, after)


def _mirror(x: Tensor, dim: int, before: int, after: int, *, skip: int) -> Tensor:
    """Put mirrored margins around an axis; `skip` is how many edge samples the mirror leaves out."""
    length = x.shape[dim]
    parts = [x]
    if before:
        parts.insert(0, x.narrow(dim, skip, before).flip(dim))
    if after:
        parts.append(x.narrow(dim, length - skip - after, after).flip(dim))
    return torch.cat(parts, dim)


def _cut_from_tiling(period: Tensor, length: int, dim: int, before: int, middle: int, after: int) -> Tensor:
    """Return samples [-before, middle + after) of the signal that repeats `period` (of `length` samples) for ever."""
    in_front = -(-before // length)
    behind = -(-(middle + after) // length)
    tiling = torch.cat([period] * (in_front + behind), dim)
    return tiling.narrow(dim, in_front * length - before, before + middle + after)
