"""Two tiny networks on every rung: what the mutations are planted in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from fundusrt.backends.base import InferenceSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.certificate import Rung
from fundusrt.image import FundusImage, from_array
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.verification import verify_bundle
from fundusrt_export.branch import DeployedBranch
from fundusrt_export.parity import (
    ParityInputs,
    precision,
    runtimes,
    tiled_to_stitched,
    torch_to_onnxruntime,
    wavelet_matrix,
    wavelet_rewrite,
)
from fundusrt_export.parity.reference import ReferenceMaps, run_reference
from fundusrt_export.parity.refinement import refinement
from fundusrt_export.parity.task import mask_task
from fundusrt_training.models.unet_wavelet import UNetWavelet
from tests.export.small_exudate import photograph
from tests.parity.small_ladder import CONFIG, manifest, pipeline_over

__all__ = ["WholeLadder"]


@dataclass
class WholeLadder:
    """Both networks in every form, and one image that shows what is exchanged: coloured, odd sides, not square."""

    originals: Mapping[Any, UNetWavelet]
    rewritten: Mapping[Any, Mapping[str, nn.Module]]
    files: dict[str, bytes]
    bundle: Path
    image: FundusImage
    inputs: ParityInputs
    reference: ReferenceMaps

    @classmethod
    def of(
        cls,
        originals: Mapping[Any, UNetWavelet],
        rewritten: Mapping[Any, Mapping[str, nn.Module]],
        files: dict[str, bytes],
        bundle: Path,
    ) -> WholeLadder:
        image = from_array(photograph(101, 203), source_id="coloured image")
        inputs = ParityInputs.of([image], CONFIG.preprocess_spec(), CONFIG.tile_spec(), CONFIG.whole_spec())
        reference = run_reference(originals["large"], originals["small"], image, manifest())
        return cls(originals, rewritten, files, bundle, image, inputs, reference)

    def sessions(self, **files: bytes) -> dict[str, InferenceSession]:
        """Of the exported files, or of others in their place."""
        return {
            role: OnnxRuntimeSession(content, source=role, threads=1)
            for role, content in {**self.files, **files}.items()
        }

    def pipeline(self) -> SegmentationPipeline:
        return pipeline_over(self.sessions())

    def r0(self, wave: str, mode: str) -> Rung:
        forms = self.rewritten["small"] if wave == "haar" else {}
        return wavelet_matrix(forms, wave, mode)

    def r1(self, **forms: nn.Module) -> Rung:
        own = {"small": {**self.rewritten["small"], **forms}}
        return wavelet_rewrite({"small": self.originals["small"]}, own, self.inputs)  # type: ignore[dict-item]

    def r2(self, **files: bytes) -> Rung:
        networks = {role: DeployedBranch(forms["identity"]) for role, forms in self.rewritten.items()}
        return torch_to_onnxruntime(networks, self.sessions(**files), self.inputs)

    def r3(self, small: bytes) -> Rung:
        return runtimes({"small": self.sessions()["small"]}, {"variant": {"small": small}}, self.inputs)

    def r4(self, small: bytes) -> Rung:
        return precision("fp16", {"small": self.sessions()["small"]}, {"small": small}, self.inputs, 0.5)

    def r5(self) -> Rung:
        return tiled_to_stitched(self.pipeline(), [self.reference], [self.image])

    def r6(self) -> Rung:
        return refinement(self.pipeline(), self.reference, self.image)

    def r7(self, pipeline: SegmentationPipeline | None = None) -> Rung:
        made = (pipeline or self.pipeline())(self.image).mask
        return mask_task([(self.reference.mask, made)], [self.image])

    def here(self) -> Rung:
        """The first rung of `fundusrt verify`."""
        return verify_bundle(str(self.bundle))[0]

    def all(self) -> list[Rung]:
        small = self.files["small"]
        return [
            self.here(),
            *(self.r0(wave, mode) for wave, mode in (("haar", "zero"), ("db2", "reflect"))),
            self.r1(),
            self.r2(),
            self.r3(small),
            self.r4(small),
            self.r5(),
            self.r6(),
            self.r7(),
        ]
