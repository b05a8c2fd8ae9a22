"""What the tests of the rungs share: two networks, their deployed forms and sessions, an image and its maps."""

from __future__ import annotations

import pytest
from torch import nn

from fundusrt.backends.base import InferenceSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.image import FundusImage, from_array
from fundusrt_export.branch import FORMS, deployed_form
from fundusrt_export.onnx_export import export_branch
from fundusrt_export.parity import ParityInputs
from fundusrt_export.parity.reference import ReferenceMaps, run_reference
from fundusrt_training.models.unet_wavelet import UNetWavelet
from tests.export.small_system import SIDE, angiogram, network
from tests.parity.small_ladder import CONFIG, ROLES, manifest


@pytest.fixture(scope="session")
def originals() -> dict[str, UNetWavelet]:
    return {role: network(seed, levels=1) for seed, role in enumerate(ROLES)}


@pytest.fixture(scope="session")
def image() -> FundusImage:
    return from_array(angiogram(), source_id="test image")


@pytest.fixture(scope="session")
def inputs(image: FundusImage) -> ParityInputs:
    return ParityInputs.of([image], CONFIG.preprocess_spec(), CONFIG.tile_spec(), CONFIG.whole_spec())


@pytest.fixture(scope="session")
def rewritten(originals: dict[str, UNetWavelet]) -> dict[str, dict[str, nn.Module]]:
    return {role: {form: deployed_form(net, form) for form in FORMS} for role, net in originals.items()}


@pytest.fixture(scope="session")
def files(originals: dict[str, UNetWavelet]) -> dict[str, bytes]:
    return {role: export_branch(net, size_px=SIDE) for role, net in originals.items()}


@pytest.fixture(scope="session")
def sessions(files: dict[str, bytes]) -> dict[str, InferenceSession]:
    return {role: OnnxRuntimeSession(content, source=role, threads=1) for role, content in files.items()}


@pytest.fixture(scope="session")
def reference(originals: dict[str, UNetWavelet], image: FundusImage) -> ReferenceMaps:
    return run_reference(originals["large"], originals["small"], image, manifest())
