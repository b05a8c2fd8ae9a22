"""What packaging asks of a system: its checkpoint measured, its manifest, its words for the model card."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fundusrt.certificate import Rung
from fundusrt.image import FundusImage
from fundusrt.manifest import AnyManifest, FileRecord, NetworkSpec, TensorSpec
from fundusrt.manifest.parts import Target
from fundusrt_export.graph_variants import GraphVariants
from fundusrt_export.model_card import BundleInfo, BundleWords
from fundusrt_export.onnx_trace import INPUT
from fundusrt_export.precision.report import ReducedPrecision
from fundusrt_export.targets import TARGETS

__all__ = [
    "CERTIFICATE",
    "IDENTITY",
    "MODEL_CARD",
    "Measured",
    "Progress",
    "SystemExport",
    "network_spec",
    "stated_fields",
    "summary",
]

Progress = Callable[[str], None]

CERTIFICATE = "certificate.json"
MODEL_CARD = "MODEL_CARD.md"

# What a result's provenance asks for; the results of an export are only compared, never kept.
IDENTITY: dict[str, Any] = {
    "bundle": "",
    "bundle_version": "",
    "bundle_sha256": "",
    "backend": "onnxruntime",
    "provider": "",
    "device": "cpu",
    "precision": "fp32",
    "versions": {},
}


@dataclass(frozen=True)
class Measured:
    """What an export made of a checkpoint.

    Attributes:
        networks: content of the ONNX and weights files by name.
        rungs: the measured ladder.
        golden: content of the golden files by name.
    """

    contents: dict[str, bytes]
    rungs: tuple[Rung, ...]
    golden: dict[str, bytes]


class SystemExport(ABC):
    """One checkpoint on its way to a bundle.

    Attributes:
        words: what the model card says where the exporter says nothing.
        facts: metadata of the checkpoint.
        sha256: of the checkpoint file.
        form: graph form of the networks, for the model card.
        targets: runtimes to make graphs for; `onnxruntime` first, which the others are compared with.
        reduced: precisions to make beside fp32.
        any_size: whether height and width of the networks' inputs are free.
        fixed_because: why they cannot be; empty where they can.
    """

    words: ClassVar[BundleWords]
    fixed_because: ClassVar[str] = ""

    facts: dict[str, Any]
    sha256: str
    form: str
    targets: tuple[Target, ...] = TARGETS
    reduced: tuple[ReducedPrecision, ...] = ()
    any_size: bool = False

    @abstractmethod
    def golden_image(self, path: str | Path | None) -> FundusImage:
        """Return the golden image: a file, or a generated one; its `source_id` names no path.

        Raises:
            InvalidInput: the file cannot be read.
        """

    @abstractmethod
    def variants(self) -> list[GraphVariants]:
        """Return the graphs of each network."""

    def network_files(self) -> list[str]:
        """Return the names of the files of all networks, ONNX and weights."""
        return [name for network in self.variants() for name in network.files()]

    @abstractmethod
    def golden_names(self) -> list[str]:
        """Return the names of the golden files."""

    @abstractmethod
    def manifest(self, info: BundleInfo, files: Mapping[str, FileRecord]) -> AnyManifest:
        """Return the manifest.

        Raises:
            pydantic.ValidationError: a value that it refuses.
        """

    @abstractmethod
    def measure(
        self, images: Sequence[FundusImage], draft: AnyManifest, *, threads: int | None, progress: Progress
    ) -> Measured:
        """Rewrite, export and measure.

        Args:
            images: the golden image first.
            draft: the manifest but for its files.
            threads: of ONNX Runtime; None for one per core.
            progress: called with a line per step.

        Raises:
            RewriteDeclined, RewriteMismatch, ExportError: the network has no exact form, or its export is not what it
                must be.
        """

    @abstractmethod
    def card_rows(self) -> list[tuple[str, str]]:
        """Return system and network in words, as titles and texts of the model card."""


def stated_fields(info: BundleInfo, files: Mapping[str, FileRecord]) -> dict[str, Any]:
    """Return the fields of a manifest that do not depend on the system."""
    return {
        "name": info.name,
        "version": info.version,
        "description": info.description,
        "intended_use": info.intended_use,
        "certificate": CERTIFICATE,
        "model_card": MODEL_CARD,
        "files": dict(files),
    }


def network_spec(
    role: str, variants: GraphVariants, shape: tuple[int | str, ...], output: str, answer: tuple[int | str, ...]
) -> NetworkSpec:
    """Return a network of a manifest, the batch free; shapes are channels, height and width."""
    return NetworkSpec.model_validate(
        {
            "role": role,
            "input": TensorSpec(name=INPUT, dtype="float32", shape=("batch", *shape)),
            "output": TensorSpec(name=output, dtype="float32", shape=("batch", *answer)),
            "variants": variants.specs(),
        }
    )


def summary(rung: Rung) -> str:
    """Return a rung's worst figure in a line."""
    worst = max(
        rung.measurements,
        key=lambda m: m.value / m.limit if m.bound == "at_most" and m.limit else float(not m.holds),
    )
    state = "holds" if rung.holds else "DOES NOT HOLD"
    return f"rung {rung.name} {state}: {worst.metric} {worst.value:.2e} (limit {worst.limit:g})"
