"""A plain U-Net of the same widths: the baseline that shows what the wavelet steps bring (CMWNet paper, Table 2).

Max-pooling down, 2x2 transposed convolution up, concatenated skips; blocks and normalisation as in `unet_wavelet`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fundusrt_training.models.unet_wavelet import UNetWaveletConfig, check_images, double_conv

__all__ = ["UNet"]


class UNet(nn.Module):
    """U-Net.

    Args:
        config: all fields have an effect but those of the wavelet steps and of the skips.
    """

    def __init__(self, config: UNetWaveletConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetWaveletConfig()
        widths = config.widths  # 64, 128, 256, 512, 1024
        inputs = [config.in_channels, *widths[:-1]]
        self.encoder = nn.ModuleList(double_conv(c, width, config) for c, width in zip(inputs, widths, strict=True))
        steps = reversed(list(pairwise(widths)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, stride=2) for width, below in steps)
        self.decoder = nn.ModuleList(double_conv(2 * width, width, config) for width in reversed(widths[:-1]))
        self.head = nn.Conv2d(config.base, config.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) float, H and W multiples of 2^levels, to logits (N, out_channels, H, W)."""
        if not torch.jit.is_tracing() and not torch.compiler.is_compiling():  # pyright: ignore[reportPrivateImportUsage]
            check_images(x, self.config, "U-Net input")
        skips: list[Tensor] = []
        for stage in list(self.encoder)[:-1]:
            skips.append(stage(x))  # (N, 64, 512, 512), (N, 128, 256, 256), (N, 256, 128, 128), (N, 512, 64, 64)
            x = F.max_pool2d(skips[-1], 2)  # (N, 64, 256, 256), (N, 128, 128, 128), (N, 256, 64, 64), (N, 512, 32, 32)
        x = self.encoder[-1](x)  # (N, 1024, 32, 32)
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(torch.cat((up(x), skips.pop()), dim=1))  # (N, 512, 64, 64) ... (N, 64, 512, 512)
        return cast(Tensor, self.head(x))  # (N, 1, 512, 512)
