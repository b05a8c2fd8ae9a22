"""The parity ladder: it holds for an honest export and ends one with a figure that does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from fundusrt.certificate import Measurement, Rung
from fundusrt.image import FundusImage
from fundusrt.manifest import CmwnetManifest, SsMafManifest
from fundusrt_export.branch import FORMS, DeployedBranch
from fundusrt_export.errors import ParityError
from fundusrt_export.parity import (
    ParityInputs,
    require_all,
    tiled_to_stitched,
    torch_to_onnxruntime,
    wavelet_matrix,
    wavelet_rewrite,
)
from fundusrt_export.parity.reference import ReferenceMaps
from fundusrt_export.parity.refinement import refinement
from fundusrt_export.parity.task import mask_task
from tests.export.small_system import SIDE
from tests.parity.small_ladder import failing, manifest, pipeline_over

RUNGS = CmwnetManifest.required_rungs

# --- honest


def test_an_honest_export_holds(
    originals: Any, rewritten: Any, sessions: Any, inputs: ParityInputs, reference: ReferenceMaps, image: FundusImage
) -> None:
    pipeline = pipeline_over(sessions)
    rungs = [
        wavelet_matrix({form: rewritten["small"][form] for form in FORMS}, "haar", "zero"),
        wavelet_rewrite(originals, rewritten, inputs),
        torch_to_onnxruntime(
            {role: DeployedBranch(forms["identity"]) for role, forms in rewritten.items()}, sessions, inputs
        ),
        tiled_to_stitched(pipeline, [reference], [image]),
        refinement(pipeline, reference, image),
        mask_task([(reference.mask, pipeline(image).mask)], [image]),
    ]
    assert [failing(rung) for rung in rungs] == [[]] * 6
    assert tuple(rung.name for rung in rungs) == RUNGS
    require_all(rungs, manifest())
    assert [len(rung.measurements) for rung in rungs] == [14, 8, 8, 9, 4, 5]
    # measured on real windows, and not trivially zero
    assert len(inputs.windows["small"]) == 9
    assert 0.1 < reference.mask.mean() < 0.9
    assert rungs[1].inputs == inputs.hashes()
    assert all(len(digest) == 64 for rung in rungs for digest in rung.inputs.values())


# --- the ladder as a whole


def rung(name: str, value: float = 0.0, limit: float = 1e-5) -> Rung:
    figure = Measurement(metric="difference", value=value, limit=limit, bound="at_most")
    return Rung(name=name, compares="a and b", inputs={}, measurements=(figure,))


@pytest.mark.parametrize("value", [1.1e-5, math.nan, math.inf])
def test_a_figure_that_does_not_hold_ends_the_export(value: float) -> None:
    rungs = [rung(name, value if name == "tiled-to-stitched" else 0.0) for name in RUNGS]
    with pytest.raises(
        ParityError, match=r"rung tiled-to-stitched: got tiled-to-stitched: difference .*; expected <= 1e-05"
    ):
        require_all(rungs, manifest())


@pytest.mark.parametrize("missing", RUNGS)
def test_a_missing_rung_ends_the_export(missing: str) -> None:
    with pytest.raises(ParityError, match=rf"got no rung {missing}"):
        require_all([rung(name) for name in RUNGS if name != missing], manifest())


def test_each_system_needs_its_own_rungs() -> None:
    other = SsMafManifest.model_construct(system="ss-maf", networks={})
    require_all([rung(name) for name in SsMafManifest.required_rungs], other)
    with pytest.raises(ParityError, match=r"got no rung deployed-form, end-to-end; expected deployed-form, torch"):
        require_all([rung(name) for name in RUNGS], other)


def test_the_reference_is_what_the_networks_say(originals: Any, reference: ReferenceMaps) -> None:
    """Tile (1, 2) of the grid, run alone, is rows 64:128 and columns 128:192 of the map."""
    window = reference.grid[SIDE : 2 * SIDE, 2 * SIDE : 3 * SIDE]
    feed = torch.from_numpy(np.ascontiguousarray(window)).float().div(255).expand(1, 3, SIDE, SIDE)
    with torch.no_grad():
        alone = DeployedBranch(originals["small"])(feed)[0, 0].numpy()
    np.testing.assert_allclose(reference.p_grid[SIDE : 2 * SIDE, 2 * SIDE : 3 * SIDE], alone, rtol=0, atol=1e-6)
