"""R6: CGNR and fusion of the deployed pipeline against their definition, on its own maps."""

from __future__ import annotations

from fundusrt.certificate import Rung
from fundusrt.cgnr_definition import cgnr_rung
from fundusrt.image import FundusImage
from fundusrt.pipeline import SegmentationPipeline
from fundusrt_export.parity.inputs import array_sha256
from fundusrt_export.parity.reference import ReferenceMaps

__all__ = ["refinement"]


def refinement(pipeline: SegmentationPipeline, reference: ReferenceMaps, image: FundusImage) -> Rung:
    """Compare on the reference's maps of an image and on generated masks (`fundusrt.cgnr_definition.cgnr_rung`)."""
    hashes = {image.source_id: array_sha256(image.pixels)}
    return cgnr_rung(reference.p_large, reference.p_small, pipeline.manifest.postprocess, hashes)
