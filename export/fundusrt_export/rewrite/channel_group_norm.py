"""Group normalisation that never reshapes an image: what OpenVINO keeps in its own memory layout.

`TwoPassGroupNorm` views the channels of a group as one long plane. OpenVINO stores channels in blocks of 8 or 16, so
that each such view is a copy of the whole image. Here images are only reduced over height and width, a channel at a
time; what is regrouped are numbers per channel:

    m_c = mean of channel c, rounded     d_c = x_c - m_c
    r_c = mean of d_c, what the rounding left       mu_c = m_c + r_c       v_c = mean of d_c^2 - r_c^2
    mu  = mean of mu_c over the group    e_c = mu_c - mu                   v   = mean over the group of v_c + e_c^2
    y_c = d_c * s_c + (beta_c + (e_c - r_c) * s_c)                         s_c = gamma_c / sqrt(v + eps)

The variance of a group is the mean variance of its channels plus the variance of their means: exact, and unlike
E[x^2] - E[x]^2, which has the same layout, it loses nothing on flat areas.

r_c is zero but for rounding, and is what a flat image hangs on. OpenVINO adds 512 values of a row one after the other,
and of equal values every rounding has the same sign: the mean of a flat plane is 1e-6 off, and where the variance is
small the normalisation multiplies that by up to 1/sqrt(eps) = 316, six levels one after the other. d_c is small, so its
own mean is accurate. On a black window the whole-image branch of the leakage model was 2.0e-4 off (float64; 99.9th
percentile 1.1e-4), with r_c 3.7e-5 (1.0e-5), at the same speed; cascades of average pools gave 4.6e-5 (2.1e-5).

A mean over a plane is the mean of its rows' means, with a Squeeze in between. Without it OpenVINO makes one sum of the
two, of 262 144 values one after the other, whose rounding errors six levels of a network multiply: on angiogram tiles
probabilities were up to 0.057 off, with the Squeeze 4e-5 (OpenVINO 2026.4, tile branch of the leakage model).
"""

from __future__ import annotations

import torch
from torch import Tensor

from fundusrt_export.rewrite.group_norm import TwoPassGroupNorm, check_group_norm_input

__all__ = ["ChannelGroupNorm"]


class ChannelGroupNorm(TwoPassGroupNorm):
    """`nn.GroupNorm` for images by statistics of each channel, joined; arguments and parameters as the base class."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) over each group of channels."""
        check_group_norm_input(x, self.num_channels)
        groups, per_group = self.num_groups, self.num_channels // self.num_groups
        by_group, by_channel = (-1, groups, per_group, 1), (-1, self.num_channels, 1, 1)
        rounded = _over_plane(x)  # (N, C)
        centred = x - rounded.reshape(by_channel)
        left = _over_plane(centred)
        variance = (_over_plane(centred * centred) - left * left).reshape(by_group)
        mean = (rounded + left).reshape(by_group)
        left = left.reshape(by_group)
        apart = mean - mean.mean(2, keepdim=True)  # (N, G, C/G, 1)
        scale = torch.rsqrt((variance + apart * apart).mean(2, keepdim=True) + self.eps)  # (N, G, 1, 1)
        if self.weight is not None:
            scale = scale * self.weight.reshape(1, groups, per_group, 1)
        shift = (apart - left) * scale
        if self.bias is not None:
            shift = shift + self.bias.reshape(1, groups, per_group, 1)
        if self.weight is None:
            scale = scale.expand(-1, -1, per_group, -1)
        return centred * scale.reshape(by_channel) + shift.reshape(by_channel)


def _over_plane(x: Tensor) -> Tensor:
    """Return the mean of each plane, (N, C), row by row: sums of a few hundred values, whose errors stay small."""
    return x.mean(3, keepdim=True).squeeze(3).mean(2)
