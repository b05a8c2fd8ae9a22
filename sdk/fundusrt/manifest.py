"""The manifest of a bundle, `bundle.json`: everything a runtime needs to know, as data.

The models are frozen and refuse unknown fields: a manifest from a newer format is refused, not half understood.
`docs/bundle-format.md` describes each field; `manifest_schema()` gives the JSON schema for other languages.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "CgnrSpec",
    "ClaheSpec",
    "FileRecord",
    "GoldenSpec",
    "Manifest",
    "NetworkSpec",
    "PostprocessSpec",
    "PreprocessSpec",
    "TensorSpec",
    "TileSpec",
    "VariantSpec",
    "WholeImageSpec",
    "manifest_schema",
]

FORMAT = "fundusrt-bundle"
FORMAT_VERSION = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClaheSpec(_Frozen):
    """Contrast-limited adaptive histogram equalisation (CMWNet paper, Methods; values are this project's defaults)."""

    clip: Positive = 2.0
    grid: Annotated[int, Field(ge=1, le=64)] = 8
    space: Literal["lab"] = "lab"


class PreprocessSpec(_Frozen):
    """Image to network input. Colour order is always RGB; values are divided by 255, then `(x - mean) / std`."""

    channels: Literal[1, 3] = 3
    clahe: ClaheSpec | None = ClaheSpec()
    gamma: Positive = 1.2
    mean: tuple[Finite, Finite, Finite] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)


class TileSpec(_Frozen):
    """The tile branch: tiles of `size` px; `round` says how the image's size becomes a multiple of it."""

    size: Annotated[int, Field(ge=16, le=4096)] = 512
    round: Literal["nearest", "ceil", "floor"] = "nearest"
    overlap: Literal[0] = 0


class WholeImageSpec(_Frozen):
    """The whole-image branch: the image reduced to `size` x `size` px."""

    size: Annotated[int, Field(ge=16, le=4096)] = 512
    interpolation: Literal["area", "bilinear"] = "area"


class CgnrSpec(_Frozen):
    """Cross-Guided Neighbourhood Refinement (CMWNet paper; `fundusrt.cgnr`)."""

    enabled: bool = True
    mode: Literal["parallel", "raster", "converge"] = "parallel"
    base: Literal["small"] = "small"


class PostprocessSpec(_Frozen):
    """Two probability maps to one mask."""

    upsample_on: Literal["prob", "logit"] = "prob"
    threshold: Annotated[float, Field(ge=0.001, le=0.999)] = 0.5  # in (0, 1) as float32 too: 0 stays off
    order: Literal["cgnr_then_fuse", "fuse_then_cgnr", "cgnr_only"] = "cgnr_then_fuse"
    w_large: Fraction = 0.3
    cgnr: CgnrSpec = CgnrSpec()


class TensorSpec(_Frozen):
    """Name, element type and shape of one network input or output; a string in the shape is a free dimension."""

    name: str
    dtype: Literal["float32"]
    shape: tuple[int | str, ...]


class VariantSpec(_Frozen):
    """One exactly equal form of a network, for one runtime."""

    file: str
    target: Literal["onnxruntime"] = "onnxruntime"
    precision: Literal["fp32"] = "fp32"
    form: str = "identity"


class NetworkSpec(_Frozen):
    """One network of the system: what it sees, its tensors, and the files that hold it."""

    role: Literal["whole_image", "tile"]
    input: TensorSpec
    output: TensorSpec
    variants: Annotated[tuple[VariantSpec, ...], Field(min_length=1)]


class FileRecord(_Frozen):
    """Identity of one file of the bundle."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class GoldenSpec(_Frozen):
    """Golden test vectors: an image and what each stage made of it when the bundle was certified.

    `image` is a grey or RGB PNG. `grid` and `whole` are the pre-processed uint8 arrays; `large` and `small` are the
    float32 maps of the branches (512x512 and grid size); `mask` is the final 0/255 PNG at the image's size.
    """

    image: str
    grid: str
    whole: str
    large: str
    small: str
    mask: str


class Manifest(_Frozen):
    """The contents of `bundle.json`."""

    format: Literal["fundusrt-bundle"] = FORMAT
    format_version: Literal[1] = FORMAT_VERSION
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    version: str
    system: Literal["cmwnet"]
    task: Literal["segmentation"] = "segmentation"
    label: str
    description: str
    intended_use: str
    preprocess: PreprocessSpec
    tile: TileSpec
    whole_image: WholeImageSpec
    networks: dict[Literal["large", "small"], NetworkSpec]
    postprocess: PostprocessSpec
    golden: GoldenSpec
    certificate: str = "certificate.json"
    model_card: str = "MODEL_CARD.md"
    files: dict[str, FileRecord]

    @model_validator(mode="after")
    def _every_named_file_is_recorded(self) -> Manifest:
        if set(self.networks) != {"large", "small"}:
            raise ValueError("networks: a cmwnet bundle needs both 'large' and 'small'")
        missing = sorted(set(self.named_files()) - set(self.files))
        if missing:
            raise ValueError(f"files: no sha256 recorded for {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _networks_fit_the_stages(self) -> Manifest:
        channels = self.preprocess.channels
        for role, network in self.networks.items():
            kind, side = ("whole_image", self.whole_image.size) if role == "large" else ("tile", self.tile.size)
            if network.role != kind:
                raise ValueError(f"networks.{role}.role: got {network.role}, expected {kind}")
            for name, tensor, planes in (("input", network.input, channels), ("output", network.output, 1)):
                wanted = (None, planes, side, side)
                fits = len(tensor.shape) == 4 and all(
                    got == want or want is None or isinstance(got, str)
                    for got, want in zip(tensor.shape, wanted, strict=True)
                )
                if not fits:
                    shape = f"(N, {planes}, {side}, {side})"
                    raise ValueError(f"networks.{role}.{name}: got shape {tensor.shape}, expected {shape}")
        return self

    def content_sha256(self) -> str:
        """Return the hash of everything but `files`, in canonical JSON.

        The certificate repeats it: the manifest cannot hold its own hash, yet no field of it may change unnoticed.
        """
        content = self.model_dump(mode="json", exclude={"files"})
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def named_files(self) -> list[str]:
        """Return every file name that the manifest refers to, apart from `files` itself."""
        golden = self.golden.model_dump().values()
        variants = [v.file for network in self.networks.values() for v in network.variants]
        return [*variants, *golden, self.certificate, self.model_card]


def manifest_schema() -> dict[str, Any]:
    """Return the JSON schema of `bundle.json`, for readers in other languages."""
    return Manifest.model_json_schema()
