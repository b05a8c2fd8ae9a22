"""`DWTForward` as fixed strided convolutions."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fundusrt_export.rewrite.filters import FilterBank, Filters, Names, stored_filters
from fundusrt_export.rewrite.padding import analysis_margins, check_length, extend

__all__ = ["ConvDWT"]


class ConvDWT(FilterBank):
    """Multi-level 2-D wavelet analysis, equal to `pytorch_wavelets.DWTForward`.

    Each level is: extend the border, then one convolution with weight (4C, 1, L, L), stride 2 and C groups (for filters
    longer than `FUSED_TAPS` two 1-D convolutions). The filters are the library's: already reversed, since a convolution
    layer computes a cross-correlation.

    Differs from the library in its gradient only: here it is the true one; the library's is the adjoint of mode `zero`
    whatever the mode.

    Args:
        levels: J, at least 0.
        filters: analysis filters in cross-correlation form (low W, high W, low H, high H).
        mode: one of `padding.MODES`.
        saved: whether the filters belong to the state dict.
    """

    NAMES: Names = ("h0_col", "h1_col", "h0_row", "h1_row")

    def __init__(self, levels: int, filters: Filters, mode: str, *, saved: bool = True) -> None:
        super().__init__(self.NAMES, filters, saved=saved)
        self.J = levels
        self.mode = mode

    @classmethod
    def from_library(cls, module: nn.Module, mode: str) -> ConvDWT:
        """Copy the filters, levels, device, dtype and train/eval state of a `DWTForward`."""
        filters, saved = stored_filters(module, cls.NAMES)
        converted = cls(cast(int, module.J), filters, mode, saved=saved)
        return converted.train(module.training)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Decompose.

        Args:
            x: (N, C, H, W) of the module's dtype.

        Returns:
            The low band (N, C, h, w) and J high bands, finest first, (N, C, 3, h_j, w_j) in the order LH, HL, HH.

        Raises:
            InvalidInput: a size that the mode cannot extend (`padding.check_length`).
        """
        highs: list[Tensor] = []
        low = x
        for _ in range(self.J):
            low, high = self._level(low)
            highs.append(high)
        return low, highs

    def _level(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for dim, taps, axis in zip((3, 2), reversed(self.taps), ("width", "height"), strict=True):
            check_length(x.shape[dim], taps, self.mode, axis)
            if self.mode == "periodization" and x.shape[dim] % 2:
                x = torch.cat([x, x.narrow(dim, x.shape[dim] - 1, 1)], dim)
            before, after = analysis_margins(x.shape[dim], taps, self.mode)
            x = extend(x, dim, before, after, self.mode)
        channels = x.shape[1]
        bands = self._fused(x, channels) if self.kernel is not None else self._separable(x, channels)
        # -1 on the batch keeps the shape a constant when the batch is dynamic.
        bands = bands.reshape(-1, channels, 4, bands.shape[2], bands.shape[3])
        return bands[:, :, 0], bands[:, :, 1:]

    def _fused(self, x: Tensor, channels: int) -> Tensor:
        assert self.kernel is not None
        return functional.conv2d(x, self.kernel.repeat(channels, 1, 1, 1), stride=2, groups=channels)

    def _separable(self, x: Tensor, channels: int) -> Tensor:
        low_w, high_w, low_h, high_h = self.filters
        along_w = torch.stack([low_w, high_w]).reshape(2, 1, 1, -1).repeat(channels, 1, 1, 1)
        along_h = torch.stack([low_h, high_h]).reshape(2, 1, -1, 1).repeat(2 * channels, 1, 1, 1)
        rows = functional.conv2d(x, along_w, stride=(1, 2), groups=channels)
        return functional.conv2d(rows, along_h, stride=(2, 1), groups=2 * channels)
