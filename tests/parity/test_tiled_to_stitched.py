"""The rung of the stitched tiles and the mask goes red for each planted fault."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fundusrt.backends.base import Array
from fundusrt.image import FundusImage
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.stitching import Stitcher
from fundusrt.tiling import Tile
from fundusrt_export.parity import tiled_to_stitched
from fundusrt_export.parity.reference import ReferenceMaps
from tests.parity.small_ladder import failing, pipeline_over


def transposed_add(self: Stitcher, tile: Tile, values: Array, real: Any = Stitcher.add) -> None:
    """Column-major order, where the grid is square enough."""
    row, column = divmod(tile.row * self._grid.columns + tile.column, self._grid.rows)[::-1]
    other = next(t for t in self._grid if (t.row, t.column) == (row, column))
    real(self, other, values)


def one_pixel_off(self: Stitcher, tile: Tile, values: Array, real: Any = Stitcher.add) -> None:
    real(self, tile, np.roll(values, 1, axis=0))


@pytest.mark.parametrize("fault", [transposed_add, one_pixel_off])
def test_last_rung_finds_tiles_in_the_wrong_place(
    fault: Any, sessions: Any, reference: ReferenceMaps, image: FundusImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stitcher, "add", fault)
    rung = tiled_to_stitched(pipeline_over(sessions), [reference], [image])
    assert "stitched tile map: max |difference|" in failing(rung)
    assert "whole-image map: max |difference|" not in failing(rung)


def test_last_rung_finds_exchanged_networks(sessions: Any, reference: ReferenceMaps, image: FundusImage) -> None:
    exchanged = {"large": sessions["small"], "small": sessions["large"]}
    assert len(failing(tiled_to_stitched(pipeline_over(exchanged), [reference], [image]))) == 9


@pytest.mark.parametrize("fault", ["no CGNR", "another weight", "align corners"])
def test_last_rung_finds_other_post_processing(
    fault: str, sessions: Any, reference: ReferenceMaps, image: FundusImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = pipeline_over(sessions)
    post = pipe.manifest.postprocess
    if fault == "no CGNR":
        changed = post.model_copy(update={"cgnr": post.cgnr.model_copy(update={"enabled": False})})
    else:
        changed = post.model_copy(update={"w_large": 0.9})
    if fault == "align corners":

        def resize(self: SegmentationPipeline, p: Array, height: int, width: int, spare: Array | None = None) -> Array:
            tensor = torch.from_numpy(p)[None, None]
            return nn.functional.interpolate(tensor, (height, width), mode="bilinear", align_corners=True)[0, 0].numpy()

        monkeypatch.setattr(SegmentationPipeline, "upsample", resize)
    else:
        pipe.manifest = pipe.manifest.model_copy(update={"postprocess": changed})
    assert "mask: share of pixels that differ" in failing(tiled_to_stitched(pipe, [reference], [image]))


def test_last_rung_does_not_pass_nan(sessions: Any, reference: ReferenceMaps, image: FundusImage) -> None:
    broken = dataclasses.replace(reference, p_grid=np.full_like(reference.p_grid, math.nan))
    assert failing(tiled_to_stitched(pipeline_over(sessions), [broken], [image])) == [
        "stitched tile map: max |difference|",
        "stitched tile map, batches of 3: max |difference|",
        "max |difference| of the jumps across tile borders",
        "share of pixels turned by a grid moved by half a tile, against PyTorch's share",
    ]
