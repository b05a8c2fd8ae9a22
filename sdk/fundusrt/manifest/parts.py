"""Parts of a manifest that every system has: tensors, networks and their files."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

__all__ = [
    "FileRecord",
    "Finite",
    "Fraction",
    "Frozen",
    "GoldenSpec",
    "NetworkSpec",
    "Positive",
    "Precision",
    "Side",
    "Target",
    "TensorSpec",
    "Threshold",
    "VariantSpec",
]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Side = Annotated[int, Field(ge=16, le=4096)]
Target = Literal["onnxruntime", "openvino", "tensorrt"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Threshold = Annotated[float, Field(ge=0.001, le=0.999)]  # in (0, 1) as float32 too: 0 stays off


class Frozen(BaseModel, frozen=True, extra="forbid"):
    """A part of a manifest: it cannot be changed, and unknown fields are refused, not half understood."""


class TensorSpec(Frozen, frozen=True):
    """Name, element type and shape of one network input or output; a string in the shape is a free dimension."""

    name: str
    dtype: Literal["float32"]
    shape: tuple[int | str, ...]


class VariantSpec(Frozen, frozen=True):
    """One exactly equal form of a network, for one runtime.

    `file` is the ONNX file. `weights`, where there is one, holds its large tensors (ONNX external data) and lies beside
    it: the variants of a network share one. Several variants may name one file.
    """

    file: str
    target: Target = "onnxruntime"
    precision: Precision = "fp32"
    form: str = "identity"
    weights: str | None = None

    @model_validator(mode="after")
    def _weights_lie_beside_the_graph(self) -> Self:
        if self.weights is not None:
            folders = [PurePosixPath(name).parent for name in (self.file, self.weights)]
            if folders[0] != folders[1] or self.weights == self.file:
                raise ValueError(f"weights: got {self.weights}, expected another file in the folder of {self.file}")
        return self

    @model_serializer(mode="wrap")
    def _without_absent_weights(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out weights that are not there: a manifest from before they were known keeps its hash."""
        content: dict[str, Any] = handler(self)
        if self.weights is None:
            content.pop("weights", None)
        return content


class NetworkSpec(Frozen, frozen=True):
    """One network of the system: what it sees, its tensors, and the files that hold it.

    `role`: the `whole_image`, a `tile` of it, or the `frame` around its field of view.
    """

    role: Literal["whole_image", "tile", "frame"]
    input: TensorSpec
    output: TensorSpec
    variants: Annotated[tuple[VariantSpec, ...], Field(min_length=1)]


class FileRecord(Frozen, frozen=True):
    """Identity of one file of the bundle."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class GoldenSpec(Frozen, frozen=True):
    """Golden test vectors: an image and, in a system's own fields, what each stage made of it at certification.

    `image` is a grey or RGB PNG.
    """

    image: str

    @property
    def preprocessed(self) -> dict[str, str]:
        """File of each pre-processed uint8 array, by stage."""
        return {}
