"""SS-MAF: the segmentation stream alone, the map and the mask measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.certificate import Rung
from fundusrt.errors import UsageError
from fundusrt.exudate_pipeline import ExudatePipeline
from fundusrt.image import FundusImage
from fundusrt.manifest import ExudateGolden, NetworkSpec, SsMafManifest
from fundusrt.manifest.parts import Target
from fundusrt_export.branch import Form
from fundusrt_export.golden_vectors import stored_array, stored_map, stored_mask, stored_picture
from fundusrt_export.graph_variants import GraphVariants
from fundusrt_export.model_card import BundleInfo, BundleWords
from fundusrt_export.parity.end_to_end import exudate_end_to_end
from fundusrt_export.parity.frame_reference import run_exudate_reference
from fundusrt_export.parity.task import mask_task
from fundusrt_export.ss_maf_checkpoint import TrainedSsMaf, load_ss_maf
from fundusrt_export.ss_maf_deployed import OUTPUT, DeployedSsMaf, deployed_stream, export_ss_maf
from fundusrt_export.systems.frame_export import FrameExport
from fundusrt_export.systems.system_export import IDENTITY, Progress, network_spec

__all__ = ["SsMafExport"]

_GOLDEN = ExudateGolden(
    image="golden/input.png",
    frame="golden/frame.npz",
    probability="golden/probability.npz",
    mask="golden/mask.png",
)


class SsMafExport(FrameExport[SsMafManifest]):
    """The network of an SS-MAF checkpoint.

    Args:
        trained: what the checkpoint holds.
    """

    words: ClassVar = BundleWords(
        label="hard exudates",
        description="Hard exudates in colour fundus photographs (SS-MAF).",
        limits="Not evaluated on other cameras, ultra-widefield images or angiograms.",
    )
    kind: ClassVar = SsMafManifest
    golden: ClassVar = _GOLDEN

    def __init__(self, trained: TrainedSsMaf) -> None:
        self.trained = trained
        self.facts, self.sha256 = trained.facts, trained.sha256
        self.form = "segmentation stream, normalisations folded, resizes after the 1x1 convolutions"
        self.input, self.frame = trained.input, trained.frame

    @classmethod
    def open(cls, path: str | Path, settings: Sequence[str], form: Form | None) -> SsMafExport:
        """Load a checkpoint. Raises what `load_ss_maf` raises, and UsageError for a form: only wavelets have some."""
        if form is not None:
            raise UsageError("--form", got=form, expected="no form: SS-MAF has no wavelets", fix="leave --form out")
        return cls(load_ss_maf(path, settings))

    @property
    def scale(self) -> int:
        """How many times larger the output is than the input."""
        return self.trained.network.seg_head.up

    def graph_form(self, target: Target) -> str:
        """Return one form for all: convolutions with folded normalisations, which every runtime fuses alike."""
        del target
        return "stream"

    def network(self, variants: GraphVariants) -> NetworkSpec:
        """Return the network's tensors and files."""
        height, width = self.frame.height_px, self.frame.width_px
        answer = (1, self.scale * height, self.scale * width)
        return network_spec("frame", variants, (self.input.channels, height, width), OUTPUT, answer)

    def own_fields(self, info: BundleInfo) -> dict[str, Any]:
        """Return label, scale and post-processing."""
        return {
            "system": "ss-maf",
            "label": info.label,
            "output_scale": self.scale,
            "postprocess": self.trained.postprocess,
        }

    def trained_network(self) -> nn.Module:
        """Return the training network, which answers O_seg alone in evaluation."""
        return self.trained.network

    def deployed_network(self, example: Tensor) -> nn.Module:
        """Return the rewritten segmentation stream."""
        return deployed_stream(self.trained.network, example=example)

    def answering(self, deployed: nn.Module) -> nn.Module:
        """Return the stream with softmax."""
        return DeployedSsMaf(deployed)

    def compares(self) -> str:
        """Return what the first rung compares."""
        return "logits of the training network in evaluation and of its pruned and rewritten stream, PyTorch, float32"

    def to_onnx(self, target: Target, deployed: nn.Module, example: Tensor, progress: Progress) -> bytes:
        """Return the checked ONNX file, the same for every target."""
        del target, example
        return export_ss_maf(
            deployed, self.trained.network, self.frame.height_px, self.frame.width_px, progress=progress
        )

    def end_to_end(
        self, manifest: SsMafManifest, session: OnnxRuntimeSession, images: Sequence[FundusImage]
    ) -> tuple[list[Rung], dict[str, bytes]]:
        """Compare map and mask; the golden files are PyTorch's."""
        reference = [run_exudate_reference(self.trained.network, image, manifest) for image in images]
        with ExudatePipeline(manifest, {"segmentation": session}, dict(IDENTITY)) as pipeline:
            rungs = [exudate_end_to_end(pipeline, reference, images)]
            made = [(expected.mask, pipeline(image).mask) for expected, image in zip(reference, images, strict=True)]
        first = reference[0]
        return [*rungs, mask_task(made, images)], {
            _GOLDEN.image: stored_picture(images[0].pixels),
            _GOLDEN.frame: stored_array(first.frame),
            _GOLDEN.probability: stored_map(first.p_frame),
            _GOLDEN.mask: stored_mask(first.mask),
        }

    def card_rows(self) -> list[tuple[str, str]]:
        """Return system and network."""
        config = self.trained.network.config
        size = f"{self.frame.height_px} x {self.frame.width_px} px around the field of view"
        return [
            (
                "system",
                f"SS-MAF: segmentation stream of a network trained as `{config.stream}`, one call a photograph",
            ),
            ("network", f"base {config.base}, classes {config.classes}; input {self.input.colour}, {size}"),
        ]
