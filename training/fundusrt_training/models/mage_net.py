"""MAGE-Net: enhancement in two stages, guided by retinal structure (MAGE-Net paper, Fig. 2).

    image --+-- top half ----> encoder --+-- E1, E2, E3 joined --> decoder --> D1, D2, D3
            +-- bottom half -> encoder --+                                     |
            |                                             SAM(D1, image) -> features f, stage-1 image I1
            +-- conv, CAB -> concat f -> FAB1 -> FAB2 -> FAB3 -> conv -> + image = I2, the output
            |                            E1,D1   E2,D2   E3,D3
            +-- RSP (AG-Net) ----------> R @ H   R @ H/2 R @ H/4

No figure or code of the paper is public; it builds on MPRNet, whose widths and blocks these are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from fundusrt.errors import UsageError
from fundusrt_training.models.ag_net import AgNet, AgNetConfig, check_images
from fundusrt_training.models.channel_attention import cab_stack
from fundusrt_training.models.resize import halve, resize

__all__ = ["FAB", "SAM", "MageConfig", "MageNet", "MageOutputs"]


@dataclass(frozen=True)
class MageConfig:
    """The network; what the paper leaves open is a field.

    Args:
        n: channels of the first scale.
        u: channels added with each halving.
        o: further channels in stage 2.
        num_cab: channel attention blocks in each fusion block.
        split: how stage 1's encoder sees the image: top and bottom half (`height`), left and right (`width`), or whole.
        prelu_shared: one PReLU slope for all blocks, as in MPRNet; else each block has its own.
        cab_attention: without it, a block is a plain residual one.
        stages: 2, or 1: the stage-1 image is the output.
        fab_filter: the learnable filter that ends a fusion block.
        use_rsp: whether structure features are fused in.
        rsp: the structure module.
    """

    n: int = 40
    u: int = 20
    o: int = 16
    num_cab: int = 8
    split: Literal["height", "width", "none"] = "height"
    prelu_shared: bool = True
    cab_attention: bool = True
    stages: Literal[1, 2] = 2
    fab_filter: Literal["conv3_prelu", "conv1_prelu"] = "conv3_prelu"
    use_rsp: bool = True
    rsp: AgNetConfig = field(default_factory=AgNetConfig)

    def __post_init__(self) -> None:
        for name, least in (("n", 4), ("u", 0), ("o", 0), ("num_cab", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"net.{name}", got=getattr(self, name), expected=f"at least {least}")
        choices = (
            ("split", ("height", "width", "none")),
            ("stages", (1, 2)),
            ("fab_filter", ("conv3_prelu", "conv1_prelu")),
        )
        for name, allowed in choices:
            if getattr(self, name) not in allowed:
                raise UsageError(f"net.{name}", got=repr(getattr(self, name)), expected=" or ".join(map(str, allowed)))

    @property
    def widths(self) -> tuple[int, int, int]:
        """Channels at H, H/2 and H/4."""
        return self.n, self.n + self.u, self.n + 2 * self.u


class MageOutputs(NamedTuple):
    """`stages`: I1 and, with two stages, I2, each (N, 3, H, W). `maps`: AG-Net's logits, none without RSP."""

    stages: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]


class SAM(nn.Module):
    """Supervised attention: the stage's image, and its features weighed by what that image shows.

    Args:
        channels: channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_image = nn.Conv2d(channels, 3, 1, bias=False)
        self.features = nn.Conv2d(channels, channels, 1, bias=False)
        self.mask = nn.Conv2d(3, channels, 1, bias=False)

    def forward(self, x: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (N, n, H, W) and the input image (N, 3, H, W) to attended features and the stage's image."""
        stage_image = self.to_image(x) + image  # I1: (N, 3, H, W)
        return self.features(x) * torch.sigmoid(self.mask(stage_image)) + x, stage_image


class Stage1(nn.Module):
    """Encoder on parts of the image, decoder on the joined maps.

    Args:
        config: the network's configuration.
        act: the PReLU blocks share, or None.
    """

    def __init__(self, config: MageConfig, act: nn.PReLU | None) -> None:
        super().__init__()
        self.config = config
        n, n2, n3 = config.widths  # 40, 60, 80

        def cabs(width: int, count: int) -> nn.Sequential:
            return cab_stack(width, count, act, attention=config.cab_attention)

        self.shallow = nn.Sequential(nn.Conv2d(3, n, 3, padding=1, bias=False), cabs(n, 1))
        self.encoder = nn.ModuleList([cabs(n, 2), cabs(n2, 2), cabs(n3, 2)])
        self.down = nn.ModuleList([nn.Conv2d(n, n2, 1, bias=False), nn.Conv2d(n2, n3, 1, bias=False)])
        self.decoder = nn.ModuleList([cabs(n, 2), cabs(n2, 2), cabs(n3, 2)])
        self.skip = nn.ModuleList([cabs(n, 1), cabs(n2, 1)])
        self.up = nn.ModuleList([nn.Conv2d(n2, n, 1, bias=False), nn.Conv2d(n3, n2, 1, bias=False)])

    def forward(self, image: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Map images (N, 3, H, W) to E1, E2, E3 and D1, D2, D3 with 40 @ H, 60 @ H/2, 80 @ H/4."""
        dim = {"height": 2, "width": 3, "none": None}[self.config.split]
        if dim is None:
            joined = self._encode(image)
        else:
            parts = torch.cat(image.chunk(2, dim=dim))  # (2N, 3, H/2, W): the halves run as one batch
            joined = tuple(torch.cat(e.chunk(2), dim=dim) for e in self._encode(parts))
        e1, e2, e3 = joined
        d3 = self.decoder[2](e3)  # (N, 80, H/4, W/4)
        d2 = self.decoder[1](self.up[1](resize(d3, e2)) + self.skip[1](e2))  # (N, 60, H/2, W/2)
        d1 = self.decoder[0](self.up[0](resize(d2, e1)) + self.skip[0](e1))  # (N, 40, H, W)
        return joined, (d1, d2, d3)

    def _encode(self, x: Tensor) -> tuple[Tensor, ...]:
        e1 = self.encoder[0](self.shallow(x))
        e2 = self.encoder[1](self.down[0](halve(e1)))
        return e1, e2, self.encoder[2](self.down[1](halve(e2)))


class FAB(nn.Module):
    """Feature aggregation block i: refine, add stage 1's features of one scale, filter together with RSP's.

    Args:
        width: m, channels of stage 2.
        scale: channels of E_i and D_i.
        structure: channels of R_i, or 0 without RSP.
        config: the network's configuration.
        act: the PReLU blocks share, or None.
    """

    def __init__(self, width: int, scale: int, structure: int, config: MageConfig, act: nn.PReLU | None) -> None:
        super().__init__()
        self.cabs = cab_stack(width, config.num_cab, act, attention=config.cab_attention)
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.from_encoder = nn.Conv2d(scale, width, 1, bias=False)  # A_i
        self.from_decoder = nn.Conv2d(scale, width, 1, bias=False)  # B_i
        self.from_structure = nn.Conv2d(structure, width, 1, bias=False) if structure else None  # P_i
        kernel = 3 if config.fab_filter == "conv3_prelu" else 1
        joined = 2 * width if structure else width
        self.filter = nn.Sequential(
            nn.Conv2d(joined, width, kernel, padding=kernel // 2, bias=False),
            nn.PReLU(),
        )

    def forward(self, y: Tensor, e: Tensor, d: Tensor, r: Tensor | None) -> Tensor:
        """Map y (N, m, H, W) with E_i, D_i and R_i of any size to (N, m, H, W)."""
        y = y + self.conv(self.cabs(y))  # y1
        y = y + resize(self.from_encoder(e), y) + resize(self.from_decoder(d), y)  # y2; 1x1 before the resize: the same
        if self.from_structure is not None and r is not None:
            y = torch.cat((y, resize(self.from_structure(r), y)), dim=1)  # z: (N, 2m, H, W)
        return cast(Tensor, self.filter(y))  # (N, m, H, W)


class Stage2(nn.Module):
    """Full-size stage: three fusion blocks from fine to coarse features.

    Args:
        config: the network's configuration.
        act: the PReLU blocks share, or None.
    """

    def __init__(self, config: MageConfig, act: nn.PReLU | None) -> None:
        super().__init__()
        n, m = config.n, config.n + config.o  # 40, 56
        structure = [config.rsp.base * 2**i if config.use_rsp else 0 for i in range(3)]  # 32 @ H, 64 @ H/2, 128 @ H/4
        self.shallow = nn.Sequential(
            nn.Conv2d(3, n, 3, padding=1, bias=False), cab_stack(n, 1, act, attention=config.cab_attention)
        )
        self.join = nn.Conv2d(2 * n, m, 3, padding=1, bias=False)
        self.fabs = nn.ModuleList(
            FAB(m, width, channels, config, act) for width, channels in zip(config.widths, structure, strict=True)
        )
        self.to_image = nn.Conv2d(m, 3, 3, padding=1, bias=False)

    def forward(
        self, image: Tensor, f: Tensor, e: tuple[Tensor, ...], d: tuple[Tensor, ...], r: tuple[Tensor | None, ...]
    ) -> Tensor:
        """Map the image, SAM's features and the three scales to I2 (N, 3, H, W)."""
        y = self.join(torch.cat((self.shallow(image), f), dim=1))  # (N, 56, H, W)
        for fab, e_i, d_i, r_i in zip(self.fabs, e, d, r, strict=True):
            y = fab(y, e_i, d_i, r_i)  # (N, 56, H, W)
        return cast(Tensor, self.to_image(y)) + image  # I2


class MageNet(nn.Module):
    """MAGE-Net. Raises `InvalidInput` for sides that are no multiples of 16 or below 96 px, or other than 3 channels.

    Args:
        config: see `MageConfig`; the default has 12 088 480 parameters, 9 335 340 of them in the structure module.
    """

    def __init__(self, config: MageConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MageConfig()
        act = nn.PReLU() if config.prelu_shared else None
        self.stage1 = Stage1(config, act)
        self.sam = SAM(config.n)
        self.rsp = AgNet(config.rsp) if config.use_rsp and config.stages == 2 else None
        self.stage2 = Stage2(config, act) if config.stages == 2 else None

    def forward(self, image: Tensor) -> MageOutputs:
        """Map images (N, 3, H, W) in [0, 1] to both stages' images (not clipped) and the structure maps."""
        check_images(image, 3, "MAGE-Net input")
        e, d = self.stage1(image)
        f, i1 = self.sam(d[0], image)  # f: (N, 40, H, W), I1: (N, 3, H, W)
        if self.stage2 is None:
            return MageOutputs((i1,), ())
        if self.rsp is None:
            return MageOutputs((i1, self.stage2(image, f, e, d, (None, None, None))), ())
        maps, (_, r3, r2, r1) = self.rsp(image)  # R: 128 @ H/4, 64 @ H/2, 32 @ H
        return MageOutputs((i1, self.stage2(image, f, e, d, (r1, r2, r3))), maps)
