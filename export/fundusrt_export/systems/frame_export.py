"""What the exports of the systems that see one frame share: the chain of rungs, and the fields of the manifest."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

from torch import Tensor, nn

from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.certificate import Rung
from fundusrt.image import FundusImage
from fundusrt.manifest import AnyManifest, FileRecord, FrameGolden, FrameManifest, FrameSpec, InputSpec, NetworkSpec
from fundusrt.manifest.parts import Target
from fundusrt_export.golden_vectors import golden_photograph
from fundusrt_export.graph_variants import GraphVariants
from fundusrt_export.model_card import BundleInfo
from fundusrt_export.parity import (
    ParityInputs,
    deployed_form,
    equal_variants,
    require_same_network,
    torch_to_onnxruntime,
)
from fundusrt_export.systems.system_export import (
    Measured,
    Progress,
    SystemExport,
    stated_fields,
    summary,
)

__all__ = ["FrameExport"]

M = TypeVar("M", bound=FrameManifest)


class FrameExport(SystemExport, Generic[M]):
    """A checkpoint of one network that sees the frame of an image.

    Attributes:
        kind: class of the manifest.
        golden: names of the golden files.
        input: colour, planes and normalisation of the network's input.
        frame: its size and interpolation.
    """

    fixed_because: ClassVar = "its network sees one frame, whose size the manifest fixes"
    kind: ClassVar[type[Any]]
    golden: ClassVar[FrameGolden]

    input: InputSpec
    frame: FrameSpec

    def golden_image(self, path: str | Path | None) -> FundusImage:
        """Return a file, or a generated picture in colour."""
        return golden_photograph(path)

    def variants(self) -> list[GraphVariants]:
        """Return the graphs of the one network."""
        (name,) = self.kind.network_roles
        return [GraphVariants(name, {target: self.graph_form(target) for target in self.targets}, self.reduced)]

    def golden_names(self) -> list[str]:
        """Return the names of the golden files."""
        return list(self.golden.model_dump().values())

    def manifest(self, info: BundleInfo, files: Mapping[str, FileRecord]) -> AnyManifest:
        """Return the manifest."""
        (variants,) = self.variants()
        return self.kind.model_validate(
            {
                **stated_fields(info, files),
                "input": self.input,
                "frame": self.frame,
                "networks": {variants.network: self.network(variants)},
                "golden": self.golden,
                **self.own_fields(info),
            }
        )

    def measure(
        self, images: Sequence[FundusImage], draft: AnyManifest, *, threads: int | None, progress: Progress
    ) -> Measured:
        """Prune and rewrite, export, and compare up to the answer at the image's size."""
        manifest = cast(M, draft)  # what `manifest` returned
        inputs = ParityInputs.of_frames(images, manifest)
        (name,) = inputs.windows
        example = next(iter(inputs.tensors(name).values()))

        progress("pruning and rewriting the network")
        trained, deployed = self.trained_network(), self.deployed_network(example)
        rungs = [deployed_form(trained, deployed, inputs, self.compares())]
        progress(summary(rungs[-1]))

        progress("exporting to ONNX")
        (variants,) = self.variants()
        contents = {
            file: self.to_onnx(target, deployed, example, progress) for file, target in variants.graphs().items()
        }
        graphs: dict[Target, bytes] = {target: contents[variants.file(target)] for target in self.targets}
        session = OnnxRuntimeSession(graphs["onnxruntime"], source=name, threads=threads)
        answering = {name: self.answering(deployed)}
        rungs.append(torch_to_onnxruntime(answering, {name: session}, inputs))
        progress(summary(rungs[-1]))
        require_same_network(rungs[-1], lambda: answering, {name: graphs["onnxruntime"]}, inputs)
        if len(self.targets) > 1:
            rungs.append(equal_variants({name: graphs}, inputs, threads=threads))
            progress(summary(rungs[-1]))

        progress("running the whole system in PyTorch")
        measured, golden = self.end_to_end(manifest, session, images)
        for rung in measured:
            rungs.append(rung)
            progress(summary(rung))
        return Measured(contents, tuple(rungs), golden)

    @abstractmethod
    def graph_form(self, target: Target) -> str:
        """Return the form of a target's graph in words; the same words are the same graph."""

    @abstractmethod
    def network(self, variants: GraphVariants) -> NetworkSpec:
        """Return the network's tensors and files."""

    @abstractmethod
    def own_fields(self, info: BundleInfo) -> dict[str, Any]:
        """Return the fields of the manifest that only this system has, `system` among them."""

    @abstractmethod
    def trained_network(self) -> nn.Module:
        """Return the training network as the first rung sees it: (1, C, H, W) to one tensor."""

    @abstractmethod
    def deployed_network(self, example: Tensor) -> nn.Module:
        """Return the pruned and rewritten form of `trained_network`, proved equal on an example."""

    @abstractmethod
    def answering(self, deployed: nn.Module) -> nn.Module:
        """Return the module that is exported: what it returns is the network's answer."""

    @abstractmethod
    def compares(self) -> str:
        """Return what the first rung compares, for the certificate."""

    @abstractmethod
    def to_onnx(self, target: Target, deployed: nn.Module, example: Tensor, progress: Progress) -> bytes:
        """Return the checked ONNX file of `answering(deployed)`, with the nodes that a target needs."""

    @abstractmethod
    def end_to_end(
        self, manifest: M, session: OnnxRuntimeSession, images: Sequence[FundusImage]
    ) -> tuple[list[Rung], dict[str, bytes]]:
        """Return the last rungs, `end-to-end` and `task`, and the golden files of the first image."""
