"""What the manifest of every system holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fundusrt.manifest.parts import FileRecord, Frozen, GoldenSpec, NetworkSpec, TensorSpec, VariantSpec

__all__ = ["FORMAT_VERSION", "VARIANTS_RUNG", "BundleManifest", "check_shape"]

FORMAT = "fundusrt-bundle"
FORMAT_VERSION = 1
VARIANTS_RUNG = "runtimes"


class BundleManifest(Frozen, frozen=True):
    """The fields of `bundle.json` that do not depend on the system. A system's class adds its own, `system` first.

    Attributes of the class:
        network_roles: the networks of the system by name, and what each of them sees.
        required_rungs: the rungs a certificate must have, in the order of the chain.
    """

    network_roles: ClassVar[Mapping[str, str]]
    required_rungs: ClassVar[tuple[str, ...]]

    format: Literal["fundusrt-bundle"] = FORMAT
    format_version: Literal[1] = FORMAT_VERSION
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    version: str
    system: str
    task: str
    description: str
    intended_use: str
    networks: dict[str, NetworkSpec]
    golden: GoldenSpec
    certificate: str = "certificate.json"
    model_card: str = "MODEL_CARD.md"
    files: dict[str, FileRecord]

    @model_validator(mode="after")
    def _has_its_networks(self) -> Self:
        if set(self.networks) != set(self.network_roles):
            names = " and ".join(map(repr, self.network_roles))
            both = "both " if len(self.network_roles) == 2 else ""
            raise ValueError(f"networks: a {self.system} bundle needs {both}{names}")
        for name, role in self.network_roles.items():
            if self.networks[name].role != role:
                raise ValueError(f"networks.{name}.role: got {self.networks[name].role}, expected {role}")
        return self

    @model_validator(mode="after")
    def _every_named_file_is_recorded(self) -> Self:
        missing = sorted(set(self.named_files()) - set(self.files))
        if missing:
            raise ValueError(f"files: no sha256 recorded for {', '.join(missing)}")
        return self

    def content_sha256(self) -> str:
        """Return the hash of everything but `files`, in canonical JSON.

        The certificate repeats it: the manifest cannot hold its own hash, yet no field of it may change unnoticed.
        """
        content = self.model_dump(mode="json", exclude={"files"})
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def variants(self) -> list[VariantSpec]:
        """Return every variant of every network."""
        return [variant for network in self.networks.values() for variant in network.variants]

    def needed_rungs(self) -> tuple[str, ...]:
        """Return the rungs that a certificate must have: of the system, of its variants, of each other precision."""
        several = any(variant.target != "onnxruntime" for variant in self.variants())
        reduced = sorted({variant.precision for variant in self.variants()} - {"fp32"})
        variants = (VARIANTS_RUNG,) if several else ()
        return (*self.required_rungs, *variants, *(f"precision-{precision}" for precision in reduced))

    def network_files(self) -> list[str]:
        """Return the files that the networks are made of, ONNX and weights, each once."""
        named = ((variant.file, variant.weights) for variant in self.variants())
        return list(dict.fromkeys(name for pair in named for name in pair if name is not None))

    def named_files(self) -> list[str]:
        """Return every file name that the manifest refers to, apart from `files` itself."""
        return [*self.network_files(), *self.golden.model_dump().values(), self.certificate, self.model_card]


def check_shape(place: str, tensor: TensorSpec, planes: int, height: int, width: int) -> None:
    """Refuse a tensor that is not (N, planes, height, width); free dimensions fit any length.

    Raises:
        ValueError: naming the place in the manifest.
    """
    wanted = (None, planes, height, width)
    fits = len(tensor.shape) == 4 and all(
        got == want or want is None or isinstance(got, str) for got, want in zip(tensor.shape, wanted, strict=True)
    )
    if not fits:
        raise ValueError(f"{place}: got shape {tensor.shape}, expected (N, {planes}, {height}, {width})")
