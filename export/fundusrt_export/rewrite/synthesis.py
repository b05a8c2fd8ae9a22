"""`DWTInverse` as fixed strided transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fundusrt.errors import InvalidInput
from fundusrt_export.rewrite.filters import FilterBank, Filters, Names, stored_filters
from fundusrt_export.rewrite.padding import extend_periodically

__all__ = ["ConvIDWT"]


class ConvIDWT(FilterBank):
    """Multi-level 2-D wavelet synthesis, equal to `pytorch_wavelets.DWTInverse`.

    Each level is one transposed convolution with weight (4C, 1, L, L), stride 2, C groups and padding L-2 (for filters
    longer than `FUSED_TAPS` two 1-D ones). For periodization the coefficients are first extended circularly by m = L
    // 4 on each side and the padding is L/2 - 1 + 2m.

    A missing high band (None) costs nothing: the low band alone is transformed. The library makes float32 zeros there
    and so fails for other dtypes; here every dtype works.

    Args:
        filters: synthesis filters, not reversed (low W, high W, low H, high H).
        mode: one of `padding.MODES`.
        saved: whether the filters belong to the state dict.
    """

    NAMES: Names = ("g0_col", "g1_col", "g0_row", "g1_row")

    def __init__(self, filters: Filters, mode: str, *, saved: bool = True) -> None:
        super().__init__(self.NAMES, filters, saved=saved)
        self.mode = mode

    @classmethod
    def from_library(cls, module: nn.Module, mode: str) -> ConvIDWT:
        """Copy the filters, device, dtype and train/eval state of a `DWTInverse`."""
        filters, saved = stored_filters(module, cls.NAMES)
        return cls(filters, mode, saved=saved).train(module.training)

    def forward(self, coeffs: tuple[Tensor, Sequence[Tensor | None]]) -> Tensor:
        """Reconstruct.

        Args:
            coeffs: low band (N, C, h, w) and high bands, finest first, (N, C, 3, h_j, w_j) or None for zeros. A low
                band one row or column larger than the next high band (odd sizes) loses its last one; an empty list
                returns the low band as it is.

        Returns:
            (N, C, 2h - L + 2, 2w - L + 2) of the last level; (N, C, 2h, 2w) for periodization.

        Raises:
            InvalidInput: low and high bands that do not fit, or too few coefficients for the filters.
        """
        low, highs = coeffs
        for high in reversed(list(highs)):
            if high is not None:
                low = _drop_last(_drop_last(low, 2, high.shape[3]), 3, high.shape[4])
            low = self._level(low, high)
        return low

    def _level(self, low: Tensor, high: Tensor | None) -> Tensor:
        channels = low.shape[1]
        if high is None:
            bands, per_channel = low, 1
        else:
            expected = (low.shape[0], channels, 3, low.shape[2], low.shape[3])
            if len(high.shape) != 5 or any(a != b for a, b in zip(high.shape, expected, strict=True)):
                raise InvalidInput(
                    "wavelet synthesis, high band",
                    got=tuple(high.shape),
                    expected=expected,
                    fix="pass the bands of one analysis",
                )
            per_channel = 4
            bands = torch.cat([low[:, :, None], high], 2).reshape(-1, 4 * channels, low.shape[2], low.shape[3])
        padding = [0, 0]
        for index, (dim, taps) in enumerate(zip((2, 3), self.taps, strict=True)):
            wrap, padding[index] = self._margins(low.shape[dim], taps)
            if wrap:
                bands = extend_periodically(bands, dim, wrap, wrap)
        if self.kernel is not None:
            weight = self.kernel[:per_channel].repeat(channels, 1, 1, 1)
            return functional.conv_transpose2d(bands, weight, stride=2, padding=tuple(padding), groups=channels)
        return self._separable(bands, channels, per_channel, padding)

    def _margins(self, length: int, taps: int) -> tuple[int, int]:
        """Return (circular extension, transposed-convolution padding) of one axis of `length` coefficients."""
        if self.mode != "periodization":
            least, margins = max(1, taps // 2), (0, taps - 2)
        else:
            # Below this the library wraps its border once where it should wrap several times.
            least, margins = max(1, taps // 2 - 1), (taps // 4, taps // 2 - 1 + 2 * (taps // 4))
        if length < least:
            raise InvalidInput(
                f"wavelet synthesis, mode {self.mode}, {taps} taps",
                got=f"{length} coefficients",
                expected=f"at least {least}",
                fix="use coefficients of an analysis with the same filters and mode",
            )
        return margins

    def _separable(self, bands: Tensor, channels: int, per_channel: int, padding: list[int]) -> Tensor:
        low_w, high_w, low_h, high_h = self.filters
        pairs = max(1, per_channel // 2)
        lows = per_channel == 1
        along_h = (low_h[None] if lows else torch.stack([low_h, high_h])).reshape(-1, 1, low_h.numel(), 1)
        along_w = (low_w[None] if lows else torch.stack([low_w, high_w])).reshape(-1, 1, 1, low_w.numel())
        columns = functional.conv_transpose2d(
            bands,
            along_h.repeat(pairs * channels, 1, 1, 1),
            stride=(2, 1),
            padding=(padding[0], 0),
            groups=pairs * channels,
        )
        return functional.conv_transpose2d(
            columns, along_w.repeat(channels, 1, 1, 1), stride=(1, 2), padding=(0, padding[1]), groups=channels
        )


def _drop_last(low: Tensor, dim: int, wanted: int) -> Tensor:
    """Cut the last row or column if there is one more than the next high band has (odd sizes).

    A size that is free while tracing must not decide what is traced: there, cutting to the wanted size does both cases.
    """
    length = low.shape[dim]
    if type(length) is int and type(wanted) is int:
        return low.narrow(dim, 0, length - 1) if length > wanted else low
    return low[:, :, :wanted] if dim == 2 else low[:, :, :, :wanted]
