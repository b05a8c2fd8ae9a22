"""Configuration of MAGE-Net and T-MAGE-Net: nested frozen dataclasses, written to JSON as they stand.

What the paper states is the default. Its ablations: `net.stages`, `net.use_rsp`, `net.cab_attention`,
`teacher.enabled`, and the weights of `loss`, each 0 to leave a term out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from fundusrt.errors import UsageError
from fundusrt_training import configuration
from fundusrt_training.data.camera import CameraAugmentation
from fundusrt_training.data.degradation import DegradationConfig
from fundusrt_training.data.split import SplitConfig
from fundusrt_training.losses.mage_net import MageLossConfig
from fundusrt_training.models.mage_net import MageConfig
from fundusrt_training.systems.adam_config import AdamConfig
from fundusrt_training.systems.mean_teacher import TeacherConfig
from fundusrt_training.systems.run_config import RunConfig
from fundusrt_training.systems.vessel_config import check_side

__all__ = ["EnhancementDataConfig", "MageExportConfig", "MageNetConfig"]


@dataclass(frozen=True)
class EnhancementDataConfig:
    """The photographs.

    Args:
        side: px of the square frame around the field of view (the paper's is lost).
        labelled: pairs per step; the last, incomplete batch of an epoch is dropped.
        unlabelled: real bad photographs per step; 0 uses none: a teacher then only averages the student's weights.
        passes: times an epoch shows every good photograph; more than one where a batch is large beside their number.
        degradations: of each good photograph, made beforehand and kept in the cache; null degrades it anew each time.
        flip: probability of either flip, of pairs and unlabelled photographs.
        vessel_checkpoint: weights of `fundusrt train vessel` that find the good photographs' vessels, once, as in the
            paper; null where the data bring them along in `vessels/`.
        vessels_first: the structure module begins as that network, the paper's first phase, in networks that have one.
        vessel_threshold: probability from which on that network's answer is a vessel.
        degradation: ranges of the draws.
    """

    side: int = 256
    labelled: int = 16
    unlabelled: int = 8
    passes: int = 1
    degradations: int | None = None
    flip: float = 0.5
    vessel_checkpoint: str | None = None
    vessels_first: bool = False
    vessel_threshold: float = 0.5
    degradation: DegradationConfig = field(default_factory=DegradationConfig)

    def __post_init__(self) -> None:
        check_side("data.side", self.side)
        if self.labelled < 1:
            raise UsageError("data.labelled", got=self.labelled, expected="at least 1")
        if self.unlabelled < 0:
            raise UsageError("data.unlabelled", got=self.unlabelled, expected="0 or more")
        if self.passes < 1:
            raise UsageError("data.passes", got=self.passes, expected="at least 1")
        if self.degradations is not None and self.degradations < 1:
            raise UsageError("data.degradations", got=self.degradations, expected="at least 1, or null")
        if not 0 <= self.flip <= 1:
            raise UsageError("data.flip", got=self.flip, expected="a probability, 0 to 1")
        if self.vessels_first and self.vessel_checkpoint is None:
            raise UsageError(
                "data.vessels_first", got="true without data.vessel_checkpoint", expected="the vessel network's weights"
            )
        if not 0 < self.vessel_threshold < 1:
            raise UsageError("data.vessel_threshold", got=self.vessel_threshold, expected="between 0 and 1")


@dataclass(frozen=True)
class MageExportConfig:
    """What is deployed, and validated.

    Args:
        weights: the mean teacher's, as is customary, or the student's. A run without a teacher deploys the student.
    """

    weights: Literal["teacher", "student"] = "teacher"


@dataclass(frozen=True)
class MageNetConfig:
    """The whole system: network, losses, teacher, data, optimiser.

    `camera` changes the good photographs before they are degraded: a network that has seen one camera's colours only
    paints them on every photograph.
    """

    net: MageConfig = field(default_factory=MageConfig)
    loss: MageLossConfig = field(default_factory=MageLossConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    data: EnhancementDataConfig = field(default_factory=EnhancementDataConfig)
    camera: CameraAugmentation = field(default_factory=CameraAugmentation)
    split: SplitConfig = field(default_factory=SplitConfig)
    optim: AdamConfig = field(default_factory=AdamConfig)
    export: MageExportConfig = field(default_factory=MageExportConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        if self.net.rsp.in_channels != 3:
            raise UsageError("net.rsp.in_channels", got=self.net.rsp.in_channels, expected="3")
        if self.net.rsp.classes != 2:
            raise UsageError("net.rsp.classes", got=self.net.rsp.classes, expected="2: background and vessel")
        loss, count = self.loss, self.net.stages
        if not (loss.char_weight or loss.edge_weight) or not any(loss.stage_weights[:count]):
            raise UsageError(
                "loss",
                got="every weight of the enhancement loss 0",
                expected="something that compares images",
                fix="raise loss.char_weight, loss.edge_weight or loss.stage_weights",
            )

    @property
    def has_structure(self) -> bool:
        """Whether the network has a structure module: one of a single stage has none."""
        return self.net.use_rsp and self.net.stages == 2

    @property
    def needs_vessels(self) -> bool:
        """Whether the objective compares structure maps with vessels."""
        return self.has_structure and self.loss.seg_weight > 0

    @property
    def needs_unlabelled(self) -> bool:
        """Whether a step takes bad photographs."""
        return self.teacher.enabled and self.data.unlabelled > 0

    @property
    def deployed(self) -> Literal["teacher", "student"]:
        """Which part of a checkpoint is deployed."""
        return self.export.weights if self.teacher.enabled else "student"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return configuration.to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MageNetConfig:
        """Build from plain JSON data.

        Raises:
            UsageError: an unknown key or a refused value, named by its path.
        """
        return configuration.from_dict(cls, data)
