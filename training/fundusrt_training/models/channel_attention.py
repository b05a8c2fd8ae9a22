"""CAB, MPRNet's channel attention block: two convolutions, each channel weighed by its mean, added to the input."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["CAB", "ChannelAttention", "cab_stack"]

_REDUCTION = 4


class ChannelAttention(nn.Module):
    """Global average, 1x1 to a quarter of the channels, ReLU, 1x1 back, sigmoid.

    Args:
        channels: channels in and out, at least 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // _REDUCTION, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // _REDUCTION, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return x * self.weigh(x)  # weights: (N, C, 1, 1)


class CAB(nn.Module):
    """conv3x3 -> PReLU -> conv3x3 -> channel attention -> + input.

    Args:
        channels: channels in and out.
        act: a PReLU that blocks share, or None for one of its own.
        attention: without it, a plain residual block.
    """

    def __init__(self, channels: int, act: nn.PReLU | None = None, *, attention: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.act = nn.PReLU() if act is None else act
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.attention = ChannelAttention(channels) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return self.attention(self.second(self.act(self.first(x)))) + x


def cab_stack(channels: int, count: int, act: nn.PReLU | None, *, attention: bool) -> nn.Sequential:
    """`count` blocks one after the other."""
    return nn.Sequential(*(CAB(channels, act, attention=attention) for _ in range(count)))
