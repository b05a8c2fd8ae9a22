"""Configuration of the CMWNet system: nested frozen dataclasses, written to JSON as they stand.

Every value the paper states is the default; every value it leaves open is a field. Comments mark what this project
adds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from fundusrt.errors import UsageError
from fundusrt.manifest import CgnrSpec, ClaheSpec, PostprocessSpec, PreprocessSpec, TileSpec, WholeImageSpec
from fundusrt_training import configuration
from fundusrt_training.data.augmentation import AugmentationConfig
from fundusrt_training.data.epoch_plan import TileConfig
from fundusrt_training.data.split import SplitConfig
from fundusrt_training.data.working_image import WorkingImageSpec
from fundusrt_training.losses.consistency import ConsistencyConfig
from fundusrt_training.losses.segmentation import SegmentationLossConfig
from fundusrt_training.models.backbones import Backbone, TransformerConfig, check_sides
from fundusrt_training.models.unet_wavelet import UNetWaveletConfig
from fundusrt_training.systems.run_config import RunConfig

__all__ = ["CmwnetConfig", "Mode"]

Mode = Literal["cmwnet", "crop", "down"]


@dataclass(frozen=True)
class GlobalConfig:
    """Whole-image branch: side in px and how the image is reduced; `mask` is how the reference mask is."""

    size: int = 512
    interp: Literal["area", "bilinear"] = "area"
    mask: Literal["nearest", "area"] = "nearest"


@dataclass(frozen=True)
class ClaheConfig:
    """Contrast-limited adaptive histogram equalisation."""

    clip: float = 2.0
    grid: int = 8
    space: Literal["lab"] = "lab"


@dataclass(frozen=True)
class PrepConfig:
    """Pre-processing; `clahe` null and `gamma` 1.0 switch the steps off.

    `fov`: training sees the field of view that deployment will find (`found`), or the one in `fov/` (`file`).
    """

    clahe: ClaheConfig | None = field(default_factory=ClaheConfig)
    gamma: float = 1.2
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fov: Literal["found", "file"] = "found"


@dataclass(frozen=True)
class EmaConfig:
    """theta_L <- (1 - alpha) theta_L + alpha theta_S; alpha also weighs L3.

    Args:
        alpha: weight of the tile branch's weights, 0 to 1.
        every: after each optimiser `step`, or at each `epoch`'s end.
        large_grad: whether the whole-image branch also receives gradients; without, it only follows.
        start: the branches start from their `own` random weights, or from the `same` ones, as a teacher and its student
            usually do; averaging two networks that never had anything in common undoes both.
    """

    alpha: float = 0.3
    every: Literal["step", "epoch"] = "step"
    large_grad: bool = True
    start: Literal["own", "same"] = "own"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise UsageError("ema.alpha", got=self.alpha, expected="0 to 1")


@dataclass(frozen=True)
class BetaConfig:
    """Weight of L4: drawn from U(0, 1) at each `step` or once per `run`, or `const` = value."""

    mode: Literal["step", "run", "const"] = "step"
    value: float | None = None

    def __post_init__(self) -> None:
        if (self.mode == "const") != (self.value is not None):
            raise UsageError(
                "beta", got=f"mode {self.mode}, value {self.value}", expected="a value with mode const, and only then"
            )
        if self.value is not None and not self.value >= 0:
            raise UsageError("beta.value", got=self.value, expected="at least 0")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW and cosine annealing, stepped per epoch.

    Args:
        name: the optimiser.
        lr: learning rate.
        betas: of AdamW.
        wd: weight decay.
        amsgrad: of AdamW.
        tmax: T_max in epochs (half a cosine period).
        eta_min: lowest learning rate.
        epochs: number of epochs.
        steps_per_epoch: steps per epoch, or null for one pass over all tiles, as in the paper.
        batch: tiles per step; as many whole images go with them.
        grad_clip: largest gradient norm of a branch, or null for none, as in the paper; see
            `CmwnetModule.configure_gradient_clipping`.
    """

    name: Literal["adamw"] = "adamw"
    lr: float = 5e-3
    betas: tuple[float, float] = (0.9, 0.999)
    wd: float = 3e-5
    amsgrad: bool = False
    tmax: int = 50
    eta_min: float = 1e-5
    epochs: int = 50
    steps_per_epoch: int | None = None
    batch: int = 4
    grad_clip: float | None = None

    def __post_init__(self) -> None:
        for name in ("tmax", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"optim.{name}", got=getattr(self, name), expected="at least 1")
        if self.steps_per_epoch is not None and self.steps_per_epoch < 1:
            raise UsageError("optim.steps_per_epoch", got=self.steps_per_epoch, expected="at least 1, or null")
        if not self.wd >= 0:
            raise UsageError("optim.wd", got=self.wd, expected="at least 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UsageError("optim.betas", got=self.betas, expected="two values of at least 0 and below 1")
        if not self.lr > 0:
            raise UsageError("optim.lr", got=self.lr, expected="above 0")
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise UsageError("optim.grad_clip", got=self.grad_clip, expected="above 0, or null for none")


@dataclass(frozen=True)
class InferConfig:
    """From probability maps to a mask."""

    upsample_on: Literal["prob", "logit"] = "prob"
    threshold: float = 0.5


@dataclass(frozen=True)
class PostConfig:
    """Order and weight of the fusion."""

    order: Literal["cgnr_then_fuse", "fuse_then_cgnr", "cgnr_only"] = "cgnr_then_fuse"
    w_large: float = 0.3


@dataclass(frozen=True)
class CgnrConfig:
    """Cross-Guided Neighbourhood Refinement."""

    enabled: bool = True
    mode: Literal["parallel", "raster", "converge"] = "parallel"
    base: Literal["small"] = "small"


@dataclass(frozen=True)
class MetricConfig:
    """Surface distances: convention, and mm or px per pixel; always at the original resolution."""

    surface: Literal["medpy", "monai"] = "medpy"
    spacing: float = 1.0
    at: Literal["original"] = "original"

    def __post_init__(self) -> None:
        if not 0 < self.spacing < math.inf:
            raise UsageError("metric.spacing", got=self.spacing, expected="a length above 0")


@dataclass(frozen=True)
class CmwnetConfig:
    """The whole system.

    `mode`: both branches, only the tile branch (`crop`), or only the whole-image branch (`down`). `backbone`: the
    paper's network, or another as a baseline (`models.backbones`; it cannot be exported).
    """

    mode: Mode = "cmwnet"
    backbone: Backbone = "unet_wavelet"
    unet: UNetWaveletConfig = field(default_factory=UNetWaveletConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    tile: TileConfig = field(default_factory=TileConfig)
    whole: GlobalConfig = field(default_factory=GlobalConfig, metadata=configuration.key("global"))
    prep: PrepConfig = field(default_factory=PrepConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    aug: AugmentationConfig = field(default_factory=AugmentationConfig)
    loss: SegmentationLossConfig = field(default_factory=SegmentationLossConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    beta: BetaConfig = field(default_factory=BetaConfig)
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    post: PostConfig = field(default_factory=PostConfig)
    cgnr: CgnrConfig = field(default_factory=CgnrConfig)
    metric: MetricConfig = field(default_factory=MetricConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        library = self.backbone == "unet_wavelet" and self.unet.wavelet_form == "library"
        if self.run.precision == "bf16" and library:
            raise UsageError(
                "run.precision bf16",
                got=f"unet.wavelet_form {self.unet.wavelet_form}",
                expected="unet.wavelet_form haar_identity: pytorch_wavelets mixes dtypes in its backward pass",
                fix="set unet.wavelet_form haar_identity, or run.precision fp32",
            )
        sides = {"tile.size": self.tile.size, "global.size": self.whole.size}
        check_sides(self.backbone, self.unet, self.transformer, sides)
        if self.unet.in_channels not in (1, 3):
            raise UsageError("unet.in_channels", got=self.unet.in_channels, expected="1 or 3")
        if self.unet.out_channels != 1:
            raise UsageError("unet.out_channels", got=self.unet.out_channels, expected="1: leakage or not")
        # What a bundle's manifest will refuse is refused before anything is trained for it.
        for part, build in (
            ("prep", self.preprocess_spec),
            ("tile", self.tile_spec),
            ("global", self.whole_spec),
            ("post, infer or cgnr", self.postprocess_spec),
        ):
            try:
                build()
            except ValidationError as error:
                first = error.errors()[0]
                name = ".".join(str(each) for each in first["loc"])
                raise UsageError(f"{part}: {name}", got=repr(first["input"]), expected=first["msg"]) from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return configuration.to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CmwnetConfig:
        """Build from plain JSON data.

        Raises:
            UsageError: an unknown key or a refused value, named by its path.
        """
        return configuration.from_dict(cls, data)

    def preprocess_spec(self) -> PreprocessSpec:
        """Return the pre-processing as a bundle's manifest states it."""
        clahe = self.prep.clahe
        return PreprocessSpec(
            channels=3 if self.unet.in_channels == 3 else 1,
            clahe=None if clahe is None else ClaheSpec(clip=clahe.clip, grid=clahe.grid, space=clahe.space),
            gamma=self.prep.gamma,
            mean=self.prep.mean,
            std=self.prep.std,
        )

    def tile_spec(self) -> TileSpec:
        """Return the tile rule as a bundle's manifest states it."""
        return TileSpec(size=self.tile.size, round=self.tile.round)

    def working_image_spec(self) -> WorkingImageSpec:
        """Return everything that decides what the cached working images look like."""
        return WorkingImageSpec(
            self.preprocess_spec(), self.tile_spec(), self.whole_spec(), self.whole.mask, self.prep.fov
        )

    def whole_spec(self) -> WholeImageSpec:
        """Return the whole-image rule as a bundle's manifest states it."""
        return WholeImageSpec(size=self.whole.size, interpolation=self.whole.interp)

    def postprocess_spec(self) -> PostprocessSpec:
        """Return the post-processing as a bundle's manifest states it."""
        return PostprocessSpec(
            upsample_on=self.infer.upsample_on,
            threshold=self.infer.threshold,
            order=self.post.order,
            w_large=self.post.w_large,
            cgnr=CgnrSpec(enabled=self.cgnr.enabled, mode=self.cgnr.mode, base=self.cgnr.base),
        )
