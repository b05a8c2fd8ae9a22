"""The manifest of a bundle, `bundle.json`: everything a runtime needs to know, as data.

    parts.py        tensors, networks, files          bundle.py   what every system has
    cmwnet.py       ss_maf.py       mage_net.py       one system each
    field_frame.py  what the last two share

`system` says which class it is. All are frozen and refuse unknown fields: a manifest from a newer format is refused,
not half understood. `docs/bundle-format.md` describes them; `manifest_schema()` gives the JSON schema for other
languages.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from fundusrt.manifest.bundle import FORMAT_VERSION, BundleManifest
from fundusrt.manifest.cmwnet import (
    CgnrSpec,
    ClaheSpec,
    CmwnetGolden,
    CmwnetManifest,
    PostprocessSpec,
    PreprocessSpec,
    TileSpec,
    WholeImageSpec,
)
from fundusrt.manifest.field_frame import FrameGolden, FrameManifest, FrameSpec, InputSpec
from fundusrt.manifest.mage_net import EnhancementGolden, EnhancementPostprocessSpec, MageNetManifest
from fundusrt.manifest.parts import FileRecord, GoldenSpec, NetworkSpec, TensorSpec, VariantSpec
from fundusrt.manifest.ss_maf import ExudateGolden, ExudatePostprocessSpec, SsMafManifest

__all__ = [
    "FORMAT_VERSION",
    "AnyManifest",
    "BundleManifest",
    "CgnrSpec",
    "ClaheSpec",
    "CmwnetGolden",
    "CmwnetManifest",
    "EnhancementGolden",
    "EnhancementPostprocessSpec",
    "ExudateGolden",
    "ExudatePostprocessSpec",
    "FileRecord",
    "FrameGolden",
    "FrameManifest",
    "FrameSpec",
    "GoldenSpec",
    "InputSpec",
    "MageNetManifest",
    "Manifest",
    "NetworkSpec",
    "PostprocessSpec",
    "PreprocessSpec",
    "SsMafManifest",
    "TensorSpec",
    "TileSpec",
    "VariantSpec",
    "WholeImageSpec",
    "first_problem",
    "manifest_schema",
    "parse_manifest",
    "parse_manifest_json",
]

AnyManifest = CmwnetManifest | SsMafManifest | MageNetManifest
Manifest = CmwnetManifest
"""The only manifest there was; new code names the system's own."""

_ADAPTER: TypeAdapter[AnyManifest] = TypeAdapter(Annotated[AnyManifest, Field(discriminator="system")])


def parse_manifest(content: Any) -> AnyManifest:
    """Return the manifest of a system from its fields.

    Raises:
        pydantic.ValidationError: an unknown system, or not its manifest. Places begin with the system.
    """
    return _ADAPTER.validate_python(content)


def parse_manifest_json(content: bytes) -> AnyManifest:
    """Return the manifest that a `bundle.json` holds; types are not converted.

    Raises:
        pydantic.ValidationError: as `parse_manifest`.
    """
    return _ADAPTER.validate_json(content, strict=True)


def manifest_schema() -> dict[str, Any]:
    """Return the JSON schema of `bundle.json`, for readers in other languages."""
    return _ADAPTER.json_schema()


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return place and text of the first thing that is wrong with a manifest."""
    first = error.errors()[0]
    if first["type"].startswith("union_tag"):
        return "system", first["msg"]
    within = first["loc"][1:]  # the first part is the system
    return ".".join(str(part) for part in within) or "content", first["msg"]
