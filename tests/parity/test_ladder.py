"""The parity ladder: every rung holds for an honest export and goes red for each planted fault."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fundusrt.backends.base import Array, InferenceSession
from fundusrt.backends.fake import FakeSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.certificate import REQUIRED_RUNGS, Measurement, Rung
from fundusrt.image import FundusImage, from_array
from fundusrt.manifest import Manifest, NetworkSpec, TensorSpec, VariantSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.stitching import Stitcher
from fundusrt.tiling import Tile
from fundusrt_export.branch import FORMS, DeployedBranch, deployed_form
from fundusrt_export.errors import ParityError
from fundusrt_export.onnx_export import export_branch
from fundusrt_export.parity import (
    ParityInputs,
    require_all,
    tiled_to_stitched,
    torch_to_onnxruntime,
    wavelet_rewrite,
)
from fundusrt_export.parity.reference import ReferenceMaps, run_reference
from fundusrt_export.rewrite.filters import FilterBank
from fundusrt_training.models.unet_wavelet import UNetWavelet
from fundusrt_training.models.wavelet import HaarDown, HaarUp
from tests.export.small_system import SIDE, angiogram, network, system_config

ROLES = ("large", "small")
CONFIG = system_config(levels=1)
SHAPES = {"input": ("batch", 3, SIDE, SIDE), "output": ("batch", 1, SIDE, SIDE)}
IMAGE = TensorSpec(name="image", dtype="float32", shape=SHAPES["input"])
PROBABILITY = TensorSpec(name="probability", dtype="float32", shape=SHAPES["output"])


def manifest() -> Manifest:
    spec = {
        role: NetworkSpec(
            role="whole_image" if role == "large" else "tile",
            input=IMAGE,
            output=PROBABILITY,
            variants=(VariantSpec(file="-"),),
        )
        for role in ROLES
    }
    return Manifest.model_construct(
        preprocess=CONFIG.preprocess_spec(),
        tile=CONFIG.tile_spec(),
        whole_image=CONFIG.whole_spec(),
        networks=spec,
        postprocess=CONFIG.postprocess_spec(),
    )


@pytest.fixture(scope="module")
def originals() -> dict[str, UNetWavelet]:
    return {role: network(seed, levels=1) for seed, role in enumerate(ROLES)}


@pytest.fixture(scope="module")
def image() -> FundusImage:
    return from_array(angiogram(), source_id="test image")


@pytest.fixture(scope="module")
def inputs(image: FundusImage) -> ParityInputs:
    return ParityInputs.of([image], CONFIG.preprocess_spec(), CONFIG.tile_spec(), CONFIG.whole_spec())


@pytest.fixture(scope="module")
def rewritten(originals: dict[str, UNetWavelet]) -> dict[str, dict[str, nn.Module]]:
    return {role: {form: deployed_form(net, form) for form in FORMS} for role, net in originals.items()}


@pytest.fixture(scope="module")
def sessions(originals: dict[str, UNetWavelet]) -> dict[str, InferenceSession]:
    return {
        role: OnnxRuntimeSession(export_branch(net, size_px=SIDE), source=role, threads=1)
        for role, net in originals.items()
    }


@pytest.fixture(scope="module")
def reference(originals: dict[str, UNetWavelet], image: FundusImage) -> ReferenceMaps:
    return run_reference(originals["large"], originals["small"], image, manifest())


def pipeline_over(sessions: Mapping[str, InferenceSession]) -> SegmentationPipeline:
    identity: dict[str, Any] = dict.fromkeys(
        ("bundle", "bundle_version", "bundle_sha256", "backend", "provider", "device", "precision"), "test"
    )
    return SegmentationPipeline(manifest(), sessions["large"], sessions["small"], {**identity, "versions": {}})


def failing(rung: Rung) -> list[str]:
    return [measurement.metric for measurement in rung.measurements if not measurement.holds]


# --- honest


def test_an_honest_export_holds(
    originals: Any, rewritten: Any, sessions: Any, inputs: ParityInputs, reference: ReferenceMaps, image: FundusImage
) -> None:
    rungs = [
        wavelet_rewrite(originals, rewritten, inputs),
        torch_to_onnxruntime({role: forms["identity"] for role, forms in rewritten.items()}, sessions, inputs),
        tiled_to_stitched(pipeline_over(sessions), [reference], [image]),
    ]
    assert [failing(rung) for rung in rungs] == [[], [], []]
    assert tuple(rung.name for rung in rungs) == REQUIRED_RUNGS
    require_all(rungs)
    assert [len(rung.measurements) for rung in rungs] == [8, 8, 5]
    # measured on real windows, and not trivially zero
    assert len(inputs.windows["small"]) == 8
    assert 0.1 < reference.mask.mean() < 0.9
    assert rungs[0].inputs == inputs.hashes()
    assert all(len(digest) == 64 for rung in rungs for digest in rung.inputs.values())


# --- rung 1

KERNEL_FAULTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "reversed filters": lambda kernel: kernel.flip(2, 3),
    "factor 2 missing in LL": lambda kernel: torch.cat([kernel[:1] / 2, kernel[1:]]),
    "swapped bands": lambda kernel: kernel[[0, 2, 1, 3]],
    "one tap off by 1e-3": lambda kernel: (
        kernel * (1 + 1e-3 * (torch.arange(kernel.numel()) == 5).reshape(kernel.shape))
    ),
}


@pytest.mark.parametrize("fault", KERNEL_FAULTS)
def test_rewrite_rung_finds_a_wrong_kernel(fault: str, originals: Any, rewritten: Any, inputs: ParityInputs) -> None:
    planted = copy.deepcopy(rewritten["small"]["convolution"])
    bank = next(module for module in planted.modules() if isinstance(module, FilterBank))
    bank.kernel = KERNEL_FAULTS[fault](bank.kernel)
    rung = wavelet_rewrite(
        {"small": originals["small"]},
        {"small": {"convolution": planted, "identity": rewritten["small"]["identity"]}},
        inputs,
    )
    assert "small, convolution: wavelet steps alone" in failing(rung)
    assert not any("identity" in metric for metric in failing(rung))


class HalfDown(HaarDown):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return tuple(band / 2 for band in super().forward(x))  # type: ignore[return-value]


class NegativeUp(HaarUp):
    def forward(self, low: torch.Tensor, highs: torch.Tensor | None, skip: torch.Tensor) -> torch.Tensor:
        return 2 * skip - super().forward(low, highs, skip)


@pytest.mark.parametrize("fault", [("down", HalfDown), ("up", NegativeUp)])
def test_rewrite_rung_finds_a_wrong_identity(
    fault: tuple[str, type[nn.Module]], originals: Any, rewritten: Any, inputs: ParityInputs
) -> None:
    planted = copy.deepcopy(rewritten["small"]["identity"])
    setattr(planted, fault[0], fault[1]())
    rung = wavelet_rewrite({"small": originals["small"]}, {"small": {"identity": planted}}, inputs)
    assert failing(rung) == [
        "small, identity: wavelet steps alone",
        "small, identity: max |logit difference| / logit range",
    ]


def test_rewrite_rung_does_not_pass_nan(originals: Any, rewritten: Any, inputs: ParityInputs) -> None:
    planted = copy.deepcopy(rewritten["small"]["identity"])
    with torch.no_grad():
        planted.head.bias.fill_(math.nan)
    rung = wavelet_rewrite({"small": originals["small"]}, {"small": {"identity": planted}}, inputs)
    assert failing(rung) == ["small, identity: max |logit difference| / logit range"]


# --- rung 2


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
    rung = torch_to_onnxruntime({"small": rewritten["small"]["identity"]}, planted, inputs)
    assert "small, batch 1: max |difference| / range" in failing(rung)
    assert "small, batch 3: max |difference| / range" in failing(rung)


def test_runtime_rung_finds_a_fault_that_shows_only_in_a_batch(
    rewritten: Any, sessions: Any, inputs: ParityInputs
) -> None:
    """Statistics over the whole batch are right at batch 1."""
    planted = {"small": sessions_of(lambda p: p if len(p) == 1 else p[[*range(1, len(p)), 0]], sessions["small"])}
    rung = torch_to_onnxruntime({"small": rewritten["small"]["identity"]}, planted, inputs)
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
    assert failing(torch_to_onnxruntime({"small": rewritten["small"]["identity"]}, {"small": swapped}, coloured))


# --- rung 3


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
    assert len(failing(tiled_to_stitched(pipeline_over(exchanged), [reference], [image]))) == 5


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
        "stitched tile map: max |difference|"
    ]


# --- the ladder as a whole


def rung(name: str, value: float = 0.0, limit: float = 1e-5) -> Rung:
    figure = Measurement(metric="difference", value=value, limit=limit, bound="at_most")
    return Rung(name=name, compares="a and b", inputs={}, measurements=(figure,))


@pytest.mark.parametrize("value", [1.1e-5, math.nan, math.inf])
def test_a_figure_that_does_not_hold_ends_the_export(value: float) -> None:
    rungs = [rung(name) for name in REQUIRED_RUNGS[:2]] + [rung(REQUIRED_RUNGS[2], value)]
    with pytest.raises(
        ParityError, match=r"rung tiled-to-stitched: got tiled-to-stitched: difference .*; expected <= 1e-05"
    ):
        require_all(rungs)


@pytest.mark.parametrize("missing", REQUIRED_RUNGS)
def test_a_missing_rung_ends_the_export(missing: str) -> None:
    with pytest.raises(ParityError, match=rf"got no rung {missing}"):
        require_all([rung(name) for name in REQUIRED_RUNGS if name != missing])


def test_the_reference_is_what_the_networks_say(originals: Any, reference: ReferenceMaps) -> None:
    """Tile (1, 2) of the grid, run alone, is rows 64:128 and columns 128:192 of the map."""
    window = reference.grid[SIDE : 2 * SIDE, 2 * SIDE : 3 * SIDE]
    feed = torch.from_numpy(np.ascontiguousarray(window)).float().div(255).expand(1, 3, SIDE, SIDE)
    with torch.no_grad():
        alone = DeployedBranch(originals["small"])(feed)[0, 0].numpy()
    np.testing.assert_allclose(reference.p_grid[SIDE : 2 * SIDE, 2 * SIDE : 3 * SIDE], alone, rtol=0, atol=1e-6)
