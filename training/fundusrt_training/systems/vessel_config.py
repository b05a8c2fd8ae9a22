"""Configuration of the vessel system: AG-Net alone, as MAGE-Net's structure module is trained first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fundusrt.errors import UsageError
from fundusrt_training import configuration
from fundusrt_training.data.split import SplitConfig
from fundusrt_training.data.vessels.crops import VesselAugmentation
from fundusrt_training.models.ag_net import MIN_SIDE_PX, AgNetConfig
from fundusrt_training.systems.adam_config import AdamConfig
from fundusrt_training.systems.run_config import RunConfig

__all__ = ["VesselConfig", "VesselDataConfig", "check_side"]


@dataclass(frozen=True)
class VesselDataConfig:
    """The photographs.

    Args:
        side: px of the square frame around the field of view, that is, of the field's diameter.
        crop: px of the crops that are trained on, or null for whole frames.
        batch: crops per step; the last, incomplete batch of an epoch is dropped.
        passes: crops of every photograph in an epoch.
    """

    side: int = 512
    crop: int | None = None
    batch: int = 4
    passes: int = 1

    def __post_init__(self) -> None:
        check_side("data.side", self.side)
        if self.crop is not None:
            check_side("data.crop", self.crop)
            if self.crop > self.side:
                raise UsageError("data.crop", got=self.crop, expected=f"at most data.side {self.side}")
        if self.batch < 1:
            raise UsageError("data.batch", got=self.batch, expected="at least 1")
        if self.passes < 1:
            raise UsageError("data.passes", got=self.passes, expected="at least 1")


@dataclass(frozen=True)
class VesselConfig:
    """The whole system: network, data, optimiser."""

    net: AgNetConfig = field(default_factory=AgNetConfig)
    data: VesselDataConfig = field(default_factory=VesselDataConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    aug: VesselAugmentation = field(default_factory=VesselAugmentation)
    optim: AdamConfig = field(default_factory=lambda: AdamConfig(lr=1.5e-3))
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        if self.net.in_channels != 3:
            raise UsageError("net.in_channels", got=self.net.in_channels, expected="3: grey is repeated")
        if self.net.classes != 2:
            raise UsageError("net.classes", got=self.net.classes, expected="2: background and vessel")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return configuration.to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VesselConfig:
        """Build from plain JSON data.

        Raises:
            UsageError: an unknown key or a refused value, named by its path.
        """
        return configuration.from_dict(cls, data)


def check_side(name: str, side: int) -> None:
    """Raise UsageError for a side that AG-Net cannot take."""
    if side % 16 or side < MIN_SIDE_PX:
        raise UsageError(name, got=side, expected=f"a multiple of 16, at least {MIN_SIDE_PX} px")
