"""The networks a branch of CMWNet may be: the paper's, a plain U-Net, and MONAI's transformers (paper, Table 2).

    unet_wavelet   the paper's network
    unet           a U-Net of the same widths
    swin_unetr     MONAI's SwinUNETR: a Swin transformer under a convolutional decoder (Hatamizadeh et al. 2022)
    unetr          MONAI's UNETR: a vision transformer under a convolutional decoder (Hatamizadeh et al. 2022)

The last two are relatives of the paper's SwinUNet and TransUNet, not these; MONAI has neither, nor DeepLabv3+, CE-Net
and HarDNet. None but `unet_wavelet` can be exported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.models.unet import UNet
from fundusrt_training.models.unet_wavelet import UNetWavelet, UNetWaveletConfig

__all__ = ["BACKBONES", "Backbone", "MonaiNetwork", "TransformerConfig", "check_sides", "make_backbone"]

Backbone = Literal["unet_wavelet", "unet", "swin_unetr", "unetr"]
BACKBONES: tuple[Backbone, ...] = ("unet_wavelet", "unet", "swin_unetr", "unetr")

_SWIN_STEP = 32  # 2^5: five halvings
_SWIN_LEAST = 64  # instance normalisation needs more than one pixel at the deepest stage
_PATCH = 16  # side of UNETR's patches


@dataclass(frozen=True)
class TransformerConfig:
    """Widths of `swin_unetr` and `unetr`; defaults are MONAI's.

    Args:
        feature_size: channels of the first stage; for `swin_unetr` a multiple of 12.
        hidden_size: of UNETR's transformer, a multiple of `heads`.
        mlp_dim: of UNETR's feed-forward layers.
        heads: of UNETR's attention.
    """

    feature_size: int = 24
    hidden_size: int = 768
    mlp_dim: int = 3072
    heads: int = 12

    def __post_init__(self) -> None:
        for name in ("feature_size", "hidden_size", "mlp_dim", "heads"):
            if getattr(self, name) < 1:
                raise UsageError(f"transformer.{name}", got=getattr(self, name), expected="at least 1")
        if self.hidden_size % self.heads:
            raise UsageError(
                "transformer.hidden_size",
                got=f"{self.hidden_size} for {self.heads} heads",
                expected="a multiple of transformer.heads",
            )


def check_sides(
    backbone: Backbone, unet: UNetWaveletConfig, transformer: TransformerConfig, sides: dict[str, int]
) -> None:
    """Refuse sides in px of a branch's square input, by their setting's name, that a backbone cannot take.

    Raises:
        UsageError: no multiple of its step, too small, or widths it cannot have.
    """
    step, least, why = {
        "unet_wavelet": (unet.divisor, 1, "2^unet.levels"),
        "unet": (unet.divisor, 1, "2^unet.levels"),
        "swin_unetr": (_SWIN_STEP, _SWIN_LEAST, "2^5 of swin_unetr"),
        "unetr": (_PATCH, 1, "the side of unetr's patches"),
    }[backbone]
    for name, side in sides.items():
        if side % step or side < least:
            fix = f"try {max(-(-least // step), -(-side // step)) * step}"
            expected = f"a multiple of {step} ({why})" + (f", at least {least}" if least > 1 else "")
            raise UsageError(name, got=f"{side} px", expected=expected, fix=fix)
    if backbone == "swin_unetr" and transformer.feature_size % 12:
        raise UsageError(
            "transformer.feature_size",
            got=transformer.feature_size,
            expected="a multiple of 12 with backbone swin_unetr",
            fix=f"try {-(-transformer.feature_size // 12) * 12}",
        )
    if backbone == "unetr" and len(set(sides.values())) > 1:
        raise UsageError(
            "backbone unetr",
            got=", ".join(f"{name} {side}" for name, side in sides.items()),
            expected="one side: a position's weights belong to it, and the branches are averaged",
            fix="set both to one value",
        )


class MonaiNetwork(nn.Module):
    """A network of MONAI behind this project's check of its input.

    Args:
        network: maps images to logits of the same size.
        in_channels: of the images.
        side: of the square images in px, or None for any multiple of `step`.
        step: sides must be multiples of it.
    """

    def __init__(self, network: nn.Module, in_channels: int, side: int | None, step: int) -> None:
        super().__init__()
        self.network = network
        self.in_channels = in_channels
        self.side = side
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) float to logits (N, out_channels, H, W). Raises InvalidInput for another shape."""
        fits = x.ndim == 4 and x.shape[1] == self.in_channels
        for side in x.shape[2:]:
            fits = fits and (side % self.step == 0 and side > 0 if self.side is None else side == self.side)
        if not fits:
            sides = f"sides that are multiples of {self.step}" if self.side is None else f"sides of {self.side} px"
            raise InvalidInput(
                f"{type(self.network).__name__} input",
                got=f"shape {tuple(x.shape)}",
                expected=f"(N, {self.in_channels}, H, W), {sides}",
                fix="resize or pad the images",
            )
        return self.network(x)


def make_backbone(backbone: Backbone, unet: UNetWaveletConfig, transformer: TransformerConfig, side: int) -> nn.Module:
    """Return a new network that maps (N, unet.in_channels, side, side) to logits (N, unet.out_channels, side, side).

    Args:
        backbone: which.
        unet: channels in and out of every backbone, and all of the first two.
        transformer: widths of the last two.
        side: of its input in px, which `check_sides` has passed.
    """
    if backbone == "unet_wavelet":
        return UNetWavelet(unet)
    if backbone == "unet":
        return UNet(unet)
    # MONAI is large: it is imported where one of its networks is made.
    if backbone == "swin_unetr":
        from monai.networks.nets.swin_unetr import SwinUNETR

        swin = SwinUNETR(unet.in_channels, unet.out_channels, feature_size=transformer.feature_size, spatial_dims=2)
        return MonaiNetwork(swin, unet.in_channels, None, _SWIN_STEP)
    from monai.networks.nets.unetr import UNETR

    vit = UNETR(
        unet.in_channels,
        unet.out_channels,
        side,
        feature_size=transformer.feature_size,
        hidden_size=transformer.hidden_size,
        mlp_dim=transformer.mlp_dim,
        num_heads=transformer.heads,
        spatial_dims=2,
    )
    return MonaiNetwork(vit, unet.in_channels, side, _PATCH)
