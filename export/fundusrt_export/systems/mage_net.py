"""MAGE-Net: the enhancer alone, its answer and the enhanced image measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.certificate import Rung
from fundusrt.enhancement_pipeline import EnhancementPipeline
from fundusrt.errors import UsageError
from fundusrt.image import FundusImage
from fundusrt.manifest import EnhancementGolden, MageNetManifest, NetworkSpec
from fundusrt.manifest.parts import Target
from fundusrt_export.branch import Form
from fundusrt_export.deployed_network import DeployedNetwork
from fundusrt_export.golden_vectors import stored_array, stored_map, stored_picture
from fundusrt_export.graph_variants import GraphVariants
from fundusrt_export.mage_net_checkpoint import TrainedMageNet, load_mage_net
from fundusrt_export.mage_net_deployed import OUTPUT, LastStage, deployed_enhancer, export_mage_net
from fundusrt_export.model_card import BundleInfo, BundleWords
from fundusrt_export.parity.end_to_end import enhancement_end_to_end
from fundusrt_export.parity.frame_reference import run_enhancement_reference
from fundusrt_export.parity.task import image_task
from fundusrt_export.systems.frame_export import FrameExport
from fundusrt_export.systems.system_export import IDENTITY, Progress, network_spec
from fundusrt_export.targets import NORMALISATIONS

__all__ = ["MageNetExport"]

_GOLDEN = EnhancementGolden(
    image="golden/input.png",
    frame="golden/frame.npz",
    enhanced="golden/enhanced.npz",
    result="golden/result.png",
)


class MageNetExport(FrameExport[MageNetManifest]):
    """The chosen network of a MAGE-Net checkpoint.

    Args:
        trained: what the checkpoint holds.
    """

    words: ClassVar = BundleWords(
        label=None,
        description="Enhancement of low-quality colour fundus photographs (MAGE-Net).",
        limits="It can remove or invent what looks like a lesion: never read an enhanced image without the original.",
    )
    kind: ClassVar = MageNetManifest
    golden: ClassVar = _GOLDEN

    def __init__(self, trained: TrainedMageNet) -> None:
        self.trained = trained
        self.facts, self.sha256 = trained.facts, trained.sha256
        self.form = f"weights of the {trained.weights}, side heads left out, group normalisation in two passes"
        self.input, self.frame = trained.input, trained.frame

    @classmethod
    def open(cls, path: str | Path, settings: Sequence[str], form: Form | None) -> MageNetExport:
        """Load a checkpoint. Raises what `load_mage_net` raises, and UsageError for a form: only wavelets have some."""
        if form is not None:
            raise UsageError("--form", got=form, expected="no form: MAGE-Net has no wavelets", fix="leave --form out")
        return cls(load_mage_net(path, settings))

    def graph_form(self, target: Target) -> str:
        """Return the group normalisation of a target; without a structure module there is none."""
        if target == "onnxruntime" or not self.trained.network.config.use_rsp:
            return "enhancer"
        return f"enhancer, {NORMALISATIONS[target]} normalisation"

    def network(self, variants: GraphVariants) -> NetworkSpec:
        """Return the network's tensors and files."""
        shape = (3, self.frame.height_px, self.frame.width_px)
        return network_spec("frame", variants, shape, OUTPUT, shape)

    def own_fields(self, info: BundleInfo) -> dict[str, Any]:
        """Return the way back to the image."""
        del info
        return {"system": "mage-net", "postprocess": self.trained.postprocess}

    def trained_network(self) -> nn.Module:
        """Return the training network's last image."""
        return LastStage(self.trained.network)

    def deployed_network(self, example: Tensor) -> nn.Module:
        """Return the rewritten enhancer."""
        return deployed_enhancer(self.trained.network, example=example)

    def answering(self, deployed: nn.Module) -> nn.Module:
        """Return the enhancer itself."""
        return DeployedNetwork(deployed)

    def compares(self) -> str:
        """Return what the first rung compares."""
        return "last image of the training network in evaluation and of its pruned and rewritten form, PyTorch, float32"

    def to_onnx(self, target: Target, deployed: nn.Module, example: Tensor, progress: Progress) -> bytes:
        """Return the checked ONNX file with a target's group normalisation."""
        if target != "onnxruntime":
            network, normalisation = self.trained.network, NORMALISATIONS[target]
            deployed = deployed_enhancer(network, example=example, normalisation=normalisation)
        return export_mage_net(deployed, self.frame.height_px, self.frame.width_px, progress=progress)

    def end_to_end(
        self, manifest: MageNetManifest, session: OnnxRuntimeSession, images: Sequence[FundusImage]
    ) -> tuple[list[Rung], dict[str, bytes]]:
        """Compare answer and image; the golden files are PyTorch's."""
        network = self.trained_network()
        reference = [run_enhancement_reference(network, image, manifest) for image in images]
        with EnhancementPipeline(manifest, {"enhancement": session}, dict(IDENTITY)) as pipeline:
            rungs = [enhancement_end_to_end(pipeline, reference, images)]
            made = [(expected.image, pipeline(image).image) for expected, image in zip(reference, images, strict=True)]
        first = reference[0]
        return [*rungs, image_task(made, images)], {
            _GOLDEN.image: stored_picture(images[0].pixels),
            _GOLDEN.frame: stored_array(first.frame),
            _GOLDEN.enhanced: stored_map(first.enhanced),
            _GOLDEN.result: stored_picture(np.rint(first.image).astype(np.uint8)),
        }

    def card_rows(self) -> list[tuple[str, str]]:
        """Return system and network."""
        config = self.trained.network.config
        structure = f"structure module of base {config.rsp.base}" if config.use_rsp else "no structure module"
        size = f"{self.frame.height_px} x {self.frame.width_px} px around the field of view"
        return [
            ("system", f"MAGE-Net: {config.stages} stages, {structure}, one call a photograph"),
            ("network", f"widths {config.n}, {config.u}, {config.o}, {config.num_cab} CABs a block; input {size}"),
        ]
