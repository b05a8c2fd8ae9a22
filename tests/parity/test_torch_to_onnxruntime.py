"""The rung from PyTorch to ONNX Runtime goes red for each planted fault."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fundusrt.backends.base import Array, InferenceSession
from fundusrt.backends.fake import FakeSession
from fundusrt.image import FundusImage, from_array
from fundusrt_export.branch import DeployedBranch
from fundusrt_export.parity import ParityInputs, torch_to_onnxruntime
from tests.parity.small_ladder import CONFIG, IMAGE, PROBABILITY, failing


def sessions_of(change: Callable[[Array], Array], honest: InferenceSession) -> FakeSession:
    return FakeSession(lambda feed: change(honest.run({"image": feed})["probability"]), IMAGE, PROBABILITY)


def nan_somewhere(p: Array) -> Array:
    p = p.copy()
    p[-1, 0, 5, 5] = math.nan
    return p


OUTPUT_FAULTS: dict[str, Callable[[Array], Array]] = {
    "off by 2e-4": lambda p: p + np.float32(2e-4) * (p > 0.5),
    "shifted by a pixel": lambda p: np.roll(p, 1, axis=3),
    "NaN": nan_somewhere,
    "constant": lambda p: np.full_like(p, 0.5),
    "transposed": lambda p: np.ascontiguousarray(p.transpose(0, 1, 3, 2)),
}


@pytest.mark.parametrize("fault", OUTPUT_FAULTS)
def test_runtime_rung_finds_a_wrong_output(fault: str, rewritten: Any, sessions: Any, inputs: ParityInputs) -> None:
    planted = {"small": sessions_of(OUTPUT_FAULTS[fault], sessions["small"])}
    rung = torch_to_onnxruntime({"small": DeployedBranch(rewritten["small"]["identity"])}, planted, inputs)
    assert "small, batch 1: max |difference| / range" in failing(rung)
    assert "small, batch 3: max |difference| / range" in failing(rung)


def test_runtime_rung_finds_a_fault_that_shows_only_in_a_batch(
    rewritten: Any, sessions: Any, inputs: ParityInputs
) -> None:
    """Statistics over the whole batch are right at batch 1."""
    planted = {"small": sessions_of(lambda p: p if len(p) == 1 else p[[*range(1, len(p)), 0]], sessions["small"])}
    rung = torch_to_onnxruntime({"small": DeployedBranch(rewritten["small"]["identity"])}, planted, inputs)
    assert failing(rung)
    assert all("batch 3" in metric for metric in failing(rung))


def test_runtime_rung_finds_swapped_channels(rewritten: Any, sessions: Any, image: FundusImage) -> None:
    """Needs a coloured image: in a grey one the channels are equal."""
    pixels = np.stack([image.pixels, image.pixels // 2, 255 - image.pixels], axis=2)
    coloured = ParityInputs.of(
        [from_array(pixels, source_id="colour")], CONFIG.preprocess_spec(), CONFIG.tile_spec(), CONFIG.whole_spec()
    )
    honest = sessions["small"]
    swapped = FakeSession(
        lambda feed: honest.run({"image": np.ascontiguousarray(feed[:, ::-1])})["probability"], IMAGE, PROBABILITY
    )
    assert failing(
        torch_to_onnxruntime({"small": DeployedBranch(rewritten["small"]["identity"])}, {"small": swapped}, coloured)
    )
