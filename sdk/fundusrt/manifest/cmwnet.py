"""The manifest of a CMWNet bundle: contrast, tiles and whole image, fusion (CMWNet paper)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fundusrt.manifest.bundle import BundleManifest, check_shape
from fundusrt.manifest.parts import Finite, Fraction, Frozen, GoldenSpec, Positive, Side, Threshold

__all__ = [
    "CgnrSpec",
    "ClaheSpec",
    "CmwnetGolden",
    "CmwnetManifest",
    "PostprocessSpec",
    "PreprocessSpec",
    "TileSpec",
    "WholeImageSpec",
]


class ClaheSpec(Frozen, frozen=True):
    """Contrast-limited adaptive histogram equalisation (CMWNet paper, Methods; values are this project's defaults)."""

    clip: Positive = 2.0
    grid: Annotated[int, Field(ge=1, le=64)] = 8
    space: Literal["lab"] = "lab"


class PreprocessSpec(Frozen, frozen=True):
    """Image to network input. Colour order is always RGB; values are divided by 255, then `(x - mean) / std`."""

    channels: Literal[1, 3] = 3
    clahe: ClaheSpec | None = ClaheSpec()
    gamma: Positive = 1.2
    mean: tuple[Finite, Finite, Finite] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)


class TileSpec(Frozen, frozen=True):
    """The tile branch: tiles of `size` px; `round` says how the image's size becomes a multiple of it."""

    size: Side = 512
    round: Literal["nearest", "ceil", "floor"] = "nearest"
    overlap: Literal[0] = 0


class WholeImageSpec(Frozen, frozen=True):
    """The whole-image branch: the image reduced to `size` x `size` px."""

    size: Side = 512
    interpolation: Literal["area", "bilinear"] = "area"


class CgnrSpec(Frozen, frozen=True):
    """Cross-Guided Neighbourhood Refinement (CMWNet paper; `fundusrt.cgnr`)."""

    enabled: bool = True
    mode: Literal["parallel", "raster", "converge"] = "parallel"
    base: Literal["small"] = "small"


class PostprocessSpec(Frozen, frozen=True):
    """Two probability maps to one mask."""

    upsample_on: Literal["prob", "logit"] = "prob"
    threshold: Threshold = 0.5
    order: Literal["cgnr_then_fuse", "fuse_then_cgnr", "cgnr_only"] = "cgnr_then_fuse"
    w_large: Fraction = 0.3
    cgnr: CgnrSpec = CgnrSpec()


class CmwnetGolden(GoldenSpec, frozen=True):
    """Golden test vectors.

    `grid` and `whole` are the pre-processed uint8 arrays; `large` and `small` are the float32 maps of the branches
    (512x512 and grid size); `mask` is the final 0/255 PNG at the image's size.
    """

    grid: str
    whole: str
    large: str
    small: str
    mask: str

    @property
    def preprocessed(self) -> dict[str, str]:
        """File of each pre-processed uint8 array, by stage."""
        return {"grid": self.grid, "whole": self.whole}


class CmwnetManifest(BundleManifest, frozen=True):
    """The contents of `bundle.json` of a CMWNet bundle."""

    network_roles: ClassVar = {"large": "whole_image", "small": "tile"}
    required_rungs: ClassVar = (
        "wavelet-matrix",
        "wavelet-rewrite",
        "torch-to-onnxruntime",
        "tiled-to-stitched",
        "cgnr",
        "task",
    )

    system: Literal["cmwnet"]
    task: Literal["segmentation"] = "segmentation"
    label: str
    preprocess: PreprocessSpec
    tile: TileSpec
    whole_image: WholeImageSpec
    postprocess: PostprocessSpec
    golden: CmwnetGolden

    @model_validator(mode="after")
    def _networks_fit_the_stages(self) -> Self:
        for name, side in (("large", self.whole_image.size), ("small", self.tile.size)):
            network = self.networks[name]
            check_shape(f"networks.{name}.input", network.input, self.preprocess.channels, side, side)
            check_shape(f"networks.{name}.output", network.output, 1, side, side)
        return self
