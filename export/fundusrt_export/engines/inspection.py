"""The report of TensorRT's EngineInspector, the same records whichever release wrote it.

TensorRT 10 names an engine's inputs and outputs (`Bindings`) and puts memory format and data type of a tensor in one
string (`Format/Datatype`). TensorRT 11 describes inputs and outputs (`I/O Tensors`) and keeps format and data type
apart. What is there decides, not the version.

Source: NVIDIA, "Migrating IEngineInspector Usage from TensorRT 10.x to 11.x"; the format strings are those that
NVIDIA/TensorRT lists at v10.13.0 in tools/experimental/trt-engine-explorer/trex/activations.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field, ValidationError, computed_field

from fundusrt.manifest.parts import Frozen
from fundusrt_export.errors import InspectionError

__all__ = ["EngineInspection", "EngineLayer", "EngineTensor", "LayerTensor", "data_type", "parse_inspection"]

# The words for data types in format strings, of kernels the compiler generated and in `DataType` enumerations.
_DATA_TYPES = {
    "FLOAT": "fp32",
    "FP32": "fp32",
    "HALF": "fp16",
    "FP16": "fp16",
    "BFLOAT16": "bf16",
    "BF16": "bf16",
    "FP8": "fp8",
    "FP4": "fp4",
    "FP4E2M1": "fp4",
    "E8M0": "e8m0",
    "INT4": "int4",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}


class LayerTensor(Frozen, frozen=True):
    """A tensor that a layer reads or writes.

    Attributes:
        name: its name.
        dtype: `fp32`, `fp16`, `int8`, ...; None where the inspector does not say.
        format: memory format as the inspector words it; None where it does not say.
        shape: its dimensions, -1 for a free one; None where the inspector does not say.
    """

    name: str
    dtype: str | None
    format: str | None
    shape: tuple[int, ...] | None


class EngineLayer(Frozen, frozen=True):
    """A layer of the engine.

    Attributes:
        name: its name.
        type: as the inspector words it, `correlation`, `kgen`, ...
        kernel: name or number of the tactic that was chosen; None where there is none.
        inputs: the tensors it reads.
        outputs: the tensors it writes.
    """

    name: str
    type: str
    kernel: str | None
    inputs: tuple[LayerTensor, ...]
    outputs: tuple[LayerTensor, ...]

    @computed_field
    @property
    def precision(self) -> str:
        """The data type of its outputs, `fp16+fp32` where they differ, `unknown` where the inspector names none."""
        return "+".join(sorted({each.dtype for each in self.outputs if each.dtype is not None})) or "unknown"


class EngineTensor(Frozen, frozen=True):
    """An input or output of the engine.

    Attributes:
        name: its name.
        mode: `input` or `output`.
        dtype: `fp32`, ...
        shape: its dimensions, -1 for a free one.
        profiles: smallest, tuned and largest shape of each optimization profile; none where the inspector names none.
    """

    name: str
    mode: Literal["input", "output"]
    dtype: str | None
    shape: tuple[int, ...]
    profiles: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...]


class EngineInspection(Frozen, frozen=True):
    """What the inspector says of one engine: its inputs and outputs, and its layers in the order they run."""

    tensors: tuple[EngineTensor, ...]
    layers: tuple[EngineLayer, ...]

    def summary(self) -> str:
        """Return `23 layers: 20 correlation, 3 kgen; in fp16 18, fp32 5`."""
        types = ", ".join(f"{count} {name}" for name, count in _most_common(layer.type for layer in self.layers))
        precisions = _most_common(layer.precision for layer in self.layers)
        return f"{len(self.layers)} layers: {types}; in " + ", ".join(f"{name} {count}" for name, count in precisions)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for JSON, the summary first."""
        return {"summary": self.summary(), **self.model_dump(mode="json")}


def parse_inspection(text: str, describe: Callable[[str], EngineTensor], subject: str) -> EngineInspection:
    """Read the inspector's JSON document of a whole engine.

    Args:
        text: what `get_engine_information(LayerInformationFormat.JSON)` returned.
        describe: returns what the engine itself knows of the input or output with a name; asked where the document
            has names alone.
        subject: the engine, for messages.

    Raises:
        InspectionError: not JSON, or neither of the two forms; also layers that are names alone, which is what an
            engine holds that was not built with detailed profiling verbosity.
    """
    try:
        document = _Document.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _unreadable(subject, f"{place}: {first['msg']}" if place else first["msg"]) from error
    if document.io_tensors is not None:
        tensors = [tensor.normalised() for tensor in document.io_tensors]
    elif document.bindings is not None:
        tensors = [describe(name) for name in document.bindings]
    else:
        raise _unreadable(subject, "neither 'Bindings' nor 'I/O Tensors'")
    if not document.layers:
        raise _unreadable(subject, "no layers")
    return EngineInspection(
        tensors=tuple(tensors),
        layers=tuple(layer.normalised() for layer in document.layers),
    )


def data_type(text: str) -> str | None:
    """Return the data type that a format string or an enumeration member names; None if none, or more than one.

    >>> data_type("Channel major FP16 format where channel % 8 == 0"), data_type("N/A due to dynamic shapes")
    ('fp16', None)
    """
    named = {_DATA_TYPES[word] for word in re.findall(r"\w+", text.upper()) if word in _DATA_TYPES}
    return named.pop() if len(named) == 1 else None


class _Tensor(BaseModel):
    """A tensor of a layer, in either form."""

    name: str = Field(alias="Name")
    shape: tuple[int, ...] | None = Field(default=None, alias="Dimensions")
    both: str | None = Field(default=None, alias="Format/Datatype")
    format: str | None = Field(default=None, alias="Format")
    dtype: str | None = Field(default=None, validation_alias=AliasChoices("Datatype", "DataType"))

    def normalised(self) -> LayerTensor:
        kind = self.dtype if self.dtype is not None else self.both
        return LayerTensor(
            name=self.name,
            dtype=None if kind is None else data_type(kind),
            format=self.format if self.format is not None else self.both,
            shape=self.shape,
        )


class _Layer(BaseModel):
    """A layer, in either form."""

    name: str = Field(alias="Name")
    type: str = Field(alias="LayerType")
    inputs: tuple[_Tensor, ...] = Field(default=(), alias="Inputs")
    outputs: tuple[_Tensor, ...] = Field(default=(), alias="Outputs")
    kernel: str | None = Field(default=None, validation_alias=AliasChoices("TacticName", "TacticValue"))

    def normalised(self) -> EngineLayer:
        return EngineLayer(
            name=self.name,
            type=self.type,
            kernel=self.kernel or None,
            inputs=tuple(tensor.normalised() for tensor in self.inputs),
            outputs=tuple(tensor.normalised() for tensor in self.outputs),
        )


class _Profile(BaseModel):
    """The shapes of one optimization profile; a fixed tensor may have a format alone."""

    min: tuple[int, ...] | None = Field(default=None, alias="MinShape")
    opt: tuple[int, ...] | None = Field(default=None, alias="OptShape")
    max: tuple[int, ...] | None = Field(default=None, alias="MaxShape")


class _IoTensor(BaseModel):
    """An input or output as TensorRT 11 describes it."""

    name: str = Field(alias="Name")
    mode: str = Field(alias="IOMode", pattern="(?i)^(input|output)$")
    dtype: str = Field(alias="DataType")
    shape: tuple[int, ...] = Field(alias="Dimensions")
    profiles: tuple[_Profile, ...] = Field(default=(), alias="ProfileInfo")

    def normalised(self) -> EngineTensor:
        return EngineTensor(
            name=self.name,
            mode="input" if self.mode.lower() == "input" else "output",
            dtype=data_type(self.dtype),
            shape=self.shape,
            profiles=tuple(
                (each.min, each.opt, each.max)
                for each in self.profiles
                if each.min is not None and each.opt is not None and each.max is not None
            ),
        )


class _Document(BaseModel):
    """The whole document; exactly one of the last two is there."""

    layers: tuple[_Layer, ...] = Field(alias="Layers")
    bindings: tuple[str, ...] | None = Field(default=None, alias="Bindings")
    io_tensors: tuple[_IoTensor, ...] | None = Field(default=None, alias="I/O Tensors")


def _most_common(names: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))


def _unreadable(subject: str, got: str) -> InspectionError:
    return InspectionError(
        subject,
        got=got,
        expected="the engine inspector's JSON as TensorRT 10 or 11 writes it, with layers in detail",
        fix="build the engine again with --force, or report it with the version of the package",
    )
