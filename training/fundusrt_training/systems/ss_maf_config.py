"""Configuration of the SS-MAF system: nested frozen dataclasses, written to JSON as they stand.

Every value of the paper or the authors' code is the default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from fundusrt.errors import UsageError
from fundusrt_training import configuration
from fundusrt_training.data.camera import CameraAugmentation
from fundusrt_training.data.exudates.pairs import ExudateAugmentation, PairConfig
from fundusrt_training.data.split import SplitConfig
from fundusrt_training.losses.ss_maf import SsMafLossConfig
from fundusrt_training.models.ss_maf import SsMafConfig as SsMafNetConfig
from fundusrt_training.systems.run_config import RunConfig

__all__ = ["SgdConfig", "SsMafConfig"]


@dataclass(frozen=True)
class SgdConfig:
    """Nesterov SGD whose rate falls with every step: lr (1 - step / steps)^poly.

    Args:
        name: the optimiser.
        lr: learning rate at the start.
        momentum: of SGD.
        nesterov: of SGD (in the authors' code).
        wd: weight decay.
        poly: exponent of the decay.
        epochs: number of epochs.
        batch: images per step; the last, incomplete batch of an epoch is dropped.
        grad_clip: largest gradient norm, or null for none.
    """

    name: Literal["sgd"] = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    nesterov: bool = True
    wd: float = 1e-4
    poly: float = 0.9
    epochs: int = 300
    batch: int = 2
    grad_clip: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"optim.{name}", got=getattr(self, name), expected="at least 1")
        if not self.lr > 0:
            raise UsageError("optim.lr", got=self.lr, expected="above 0")
        if not 0 <= self.momentum < 1:
            raise UsageError("optim.momentum", got=self.momentum, expected="0 to below 1")
        for name in ("wd", "poly"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"optim.{name}", got=getattr(self, name), expected="at least 0")
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise UsageError("optim.grad_clip", got=self.grad_clip, expected="above 0, or null for none")


@dataclass(frozen=True)
class SsMafConfig:
    """The whole system: network, losses, data, optimiser."""

    net: SsMafNetConfig = field(default_factory=SsMafNetConfig)
    loss: SsMafLossConfig = field(default_factory=SsMafLossConfig)
    data: PairConfig = field(default_factory=PairConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    aug: ExudateAugmentation = field(default_factory=ExudateAugmentation)
    camera: CameraAugmentation = field(default_factory=CameraAugmentation)
    optim: SgdConfig = field(default_factory=SgdConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        step = self.net.divisor
        if any(side % step for side in self.data.lr):
            raise UsageError("data.lr", got=self.data.lr, expected=f"multiples of {step}")
        scale = 1 if self.net.stream == "unet" else self.net.up
        wanted = tuple(side * scale for side in self.data.lr)
        if self.net.stream != "unet" and self.data.hr != wanted:
            raise UsageError(
                "data.hr",
                got=self.data.hr,
                expected=f"{wanted}: data.lr times net.up",
                fix="change data.hr, data.lr or net.up",
            )
        if self.net.in_channels != 3:
            raise UsageError("net.in_channels", got=self.net.in_channels, expected="3: grey is repeated")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return configuration.to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SsMafConfig:
        """Build from plain JSON data.

        Raises:
            UsageError: an unknown key or a refused value, named by its path.
        """
        return configuration.from_dict(cls, data)
