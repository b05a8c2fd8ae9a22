"""For tests of code that uses FundusRT: compare maps, and make bundles and pipelines without a trained network.

Nothing here is measured or trained. The bundles are complete and valid in form, so that every check of the SDK can be
tried on them, and their certificate says that its figures are invented.

    cmwnet.py  ss_maf.py  mage_net.py   one system's manifest, pipeline and bundle     images.py  pictures
    assembly.py  seal.py                files to a bundle                              maps.py    comparison
"""

from __future__ import annotations

from fundusrt.testing.cmwnet import fake_pipeline, tiny_bundle, tiny_manifest
from fundusrt.testing.images import tiny_image, tiny_photograph
from fundusrt.testing.mage_net import (
    fake_enhancement_pipeline,
    tiny_enhancement_bundle,
    tiny_enhancement_manifest,
)
from fundusrt.testing.maps import assert_maps_close
from fundusrt.testing.seal import seal_bundle
from fundusrt.testing.ss_maf import fake_exudate_pipeline, tiny_exudate_bundle, tiny_exudate_manifest

__all__ = [
    "assert_maps_close",
    "fake_enhancement_pipeline",
    "fake_exudate_pipeline",
    "fake_pipeline",
    "seal_bundle",
    "tiny_bundle",
    "tiny_enhancement_bundle",
    "tiny_enhancement_manifest",
    "tiny_exudate_bundle",
    "tiny_exudate_manifest",
    "tiny_image",
    "tiny_manifest",
    "tiny_photograph",
]
