"""The faults that the ladder must catch: where each is planted, and the rung and the figure that show it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from fundusrt import fusion
from fundusrt.certificate import Measurement, Rung
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.preprocess import to_tensor
from fundusrt.stitching import Stitcher
from fundusrt_export.rewrite import analysis
from fundusrt_training.models.wavelet import HaarDown
from tests.parity.whole_ladder import WholeLadder

__all__ = ["MUTATIONS", "Mutation", "caught", "in_graph", "scaled_for_float16"]

Map = np.ndarray
Plant = Callable[[WholeLadder, pytest.MonkeyPatch], Rung]


@dataclass(frozen=True)
class Mutation:
    """A planted fault.

    Attributes:
        name: what is wrong.
        place: where it is planted.
        rung: that catches it.
        metric: the figure that shows it.
        plant: plants it and measures the rung.
    """

    name: str
    place: str
    rung: str
    metric: str
    plant: Plant


def caught(mutation: Mutation, rung: Rung) -> Measurement:
    """Return the figure that must not hold."""
    assert rung.name == mutation.rung
    (figure,) = (each for each in rung.measurements if each.metric == mutation.metric)
    return figure


# --- in the ONNX file


def in_graph(content: bytes, change: Callable[[onnx.GraphProto], None]) -> bytes:
    model = onnx.load_model_from_string(content)
    change(model.graph)
    return model.SerializeToString()


def constant(graph: onnx.GraphProto, name: str) -> onnx.TensorProto:
    return next(tensor for tensor in graph.initializer if tensor.name == name)


def set_constant(graph: onnx.GraphProto, name: str, values: np.ndarray) -> None:
    constant(graph, name).CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), name))


def exchanged_channels(graph: onnx.GraphProto) -> None:
    first = graph.node[0].input[1]
    set_constant(graph, first, numpy_helper.to_array(constant(graph, first))[:, ::-1])


def aligned_corners(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "coordinate_transformation_mode":
                attribute.s = b"align_corners"


def without_relu(graph: onnx.GraphProto) -> None:
    next(node for node in graph.node if node.op_type == "Relu").op_type = "Identity"


def scaled_for_float16(graph: onnx.GraphProto) -> None:
    """A million times larger before a normalisation that divides by it again: in float32 the same network."""
    first = graph.node[0].input[1]
    set_constant(graph, first, numpy_helper.to_array(constant(graph, first)) * np.float32(1e6))


def overflowing_cast(graph: onnx.GraphProto) -> None:
    scaled_for_float16(graph)
    value = graph.node[0].output[0]
    for node in graph.node[1:]:
        node.input[:] = ["back" if name == value else name for name in node.input]
    graph.node.insert(1, helper.make_node("Cast", [value], ["half"], to=TensorProto.FLOAT16))
    graph.node.insert(2, helper.make_node("Cast", ["half"], ["back"], to=TensorProto.FLOAT))


# --- in the code


def resized(corners: bool, before: Callable[[Map], Map] = lambda p: p) -> Callable[..., Map]:
    def upsample(self: SegmentationPipeline, p: Map, height: int, width: int, spare: Map | None = None) -> Map:
        x = torch.from_numpy(before(p))[None, None]
        made = nn.functional.interpolate(x, (height, width), mode="bilinear", align_corners=corners)
        return made[0, 0].numpy()

    return upsample


def shifted(self: SegmentationPipeline, p: Map, height: int, width: int, spare: Map | None = None) -> Map:
    """Weights of the corner of a pixel instead of its centre."""
    scale = np.array([[p.shape[1] / width, 0, 0], [0, p.shape[0] / height, 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(p, scale, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def standardised(window: Map, spec: Any) -> Map:
    tensor = to_tensor(window, spec)
    return ((tensor - tensor.mean()) / (tensor.std() + np.float32(1e-3))).astype(np.float32)


class HaarDownWithoutFactor(HaarDown):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        low, same = super().forward(x)
        return low / 2, same / 2


def plant_remembered_tiles(ladder: WholeLadder, patch: pytest.MonkeyPatch) -> Rung:
    """Answers are kept by the tile's place: the next image, or the same with the grid elsewhere, gets them too."""
    remembered: dict[tuple[int, int], Map] = {}
    real = Stitcher.add

    def add(self: Stitcher, tile: Any, values: Map) -> None:
        real(self, tile, remembered.setdefault((tile.row, tile.column), np.array(values)))

    patch.setattr(Stitcher, "add", add)
    return ladder.r5()


def plant_upsample(function: Callable[..., Map]) -> Plant:
    def plant(ladder: WholeLadder, patch: pytest.MonkeyPatch) -> Rung:
        patch.setattr(SegmentationPipeline, "upsample", function)
        return ladder.r5()

    return plant


def plant_to_tensor(function: Callable[[Map, Any], Map]) -> Plant:
    def plant(ladder: WholeLadder, patch: pytest.MonkeyPatch) -> Rung:
        patch.setattr("fundusrt.pipeline.to_tensor", function)
        return ladder.r5()

    return plant


def plant_zero_padding(ladder: WholeLadder, patch: pytest.MonkeyPatch) -> Rung:
    real = analysis.extend
    patch.setattr(analysis, "extend", lambda x, dim, before, after, mode: real(x, dim, before, after, "zero"))
    return ladder.r0("db2", "reflect")


def plant_reversed_filters(ladder: WholeLadder, patch: pytest.MonkeyPatch) -> Rung:
    real = analysis.stored_filters

    def reversed_filters(module: nn.Module, names: Any) -> Any:
        filters, saved = real(module, names)
        return tuple(values.reshape(-1).flip(0) for values in filters), saved

    patch.setattr(analysis, "stored_filters", reversed_filters)
    return ladder.r0("db2", "zero")


def plant_factor(ladder: WholeLadder, patch: pytest.MonkeyPatch) -> Rung:
    planted = copy.deepcopy(ladder.rewritten["small"]["identity"])
    planted.down = HaarDownWithoutFactor()
    return ladder.r1(identity=planted)


def plant_no_gamma(ladder: WholeLadder, patch: pytest.MonkeyPatch) -> Rung:
    patch.setattr("fundusrt.preprocess.gamma_table", lambda gamma: np.arange(256, dtype=np.uint8))
    return ladder.here()


def plant_forgotten_row(ladder: WholeLadder, patch: pytest.MonkeyPatch) -> Rung:
    real, calls = fusion.cgnr, []

    def forgetful(base: Map, guide: Map, mode: Any) -> Map:
        base = base.copy()
        if calls:
            base[0] = False
        calls.append(mode)
        return real(base, guide, mode)

    patch.setattr(fusion, "cgnr", forgetful)
    return ladder.r6()


def plant_threshold(ladder: WholeLadder, patch: pytest.MonkeyPatch) -> Rung:
    pipeline = ladder.pipeline()
    post = pipeline.manifest.postprocess.model_copy(update={"threshold": 0.52})
    pipeline.manifest = pipeline.manifest.model_copy(update={"postprocess": post})
    return ladder.r7(pipeline)


_R2 = "small, batch 1: max |difference| / range"
_MAP = "stitched tile map: max |difference|"
_NATIVE = "stitched tile map at image size: max |difference|"
_FILE, _RESIZE = "the ONNX file: ", "the pipeline's resize of maps to the image's size"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "red and blue exchanged",
        _FILE + "input channels of the first convolution",
        "torch-to-onnxruntime",
        _R2,
        lambda ladder, _: ladder.r2(small=in_graph(ladder.files["small"], exchanged_channels)),
    ),
    Mutation(
        "red and blue exchanged",
        "the pipeline's pixels to tensor",
        "tiled-to-stitched",
        _MAP,
        plant_to_tensor(lambda window, spec: np.ascontiguousarray(to_tensor(window, spec)[::-1])),
    ),
    Mutation(
        "align_corners",
        _FILE + "coordinates of Resize",
        "torch-to-onnxruntime",
        _R2,
        lambda ladder, _: ladder.r2(small=in_graph(ladder.files["small"], aligned_corners)),
    ),
    Mutation("align_corners", _RESIZE, "tiled-to-stitched", _NATIVE, plant_upsample(resized(True))),
    Mutation(
        "blend weights shifted by half a pixel",
        _RESIZE + ", whose bilinear weights are the only ones: tiles do not overlap",
        "tiled-to-stitched",
        _NATIVE,
        plant_upsample(shifted),
    ),
    Mutation(
        "zero instead of reflect padding",
        "the rewritten wavelet analysis, db2; the shipped networks use Haar, which pads nothing",
        "wavelet-matrix",
        "convolution, mode reflect: max |difference| / range",
        plant_zero_padding,
    ),
    Mutation(
        "no gamma",
        "the SDK's pre-processing",
        "preprocessing",
        "grid: share of pixels off by more than 1 grey level",
        plant_no_gamma,
    ),
    Mutation(
        "reversed wavelet filters",
        "the rewritten wavelet analysis, db2",
        "wavelet-matrix",
        "convolution, mode zero: max |difference| / range",
        plant_reversed_filters,
    ),
    Mutation(
        "LL without its factor 2",
        "the Haar identity",
        "wavelet-rewrite",
        "small, identity: wavelet steps alone",
        plant_factor,
    ),
    Mutation(
        "a cast overflows",
        _FILE + "the first convolution's answer through float16",
        "precision-fp16",
        "small: 99.9th percentile of |difference|",
        lambda ladder, _: ladder.r4(in_graph(ladder.files["small"], overflowing_cast)),
    ),
    Mutation(
        "resize after the threshold",
        _RESIZE + ", of masks",
        "tiled-to-stitched",
        "mask: share of pixels that differ",
        plant_upsample(resized(False, lambda p: (p >= np.float32(0.5)).astype(np.float32))),
    ),
    Mutation(
        "statistics of each tile",
        "the pipeline's pixels to tensor: each window by its own mean and deviation",
        "tiled-to-stitched",
        _MAP,
        plant_to_tensor(standardised),
    ),
    Mutation(
        "tiles remembered by their place",
        "the stitcher",
        "tiled-to-stitched",
        "stitched tile map, grid moved by half a tile: max |difference|",
        plant_remembered_tiles,
    ),
    Mutation(
        "a layer left out of a variant",
        _FILE + "of another runtime, without its first ReLU",
        "runtimes",
        "small, variant: 99.9th percentile of |difference| / range",
        lambda ladder, _: ladder.r3(in_graph(ladder.files["small"], without_relu)),
    ),
    Mutation(
        "CGNR forgets the row above a band",
        "the SDK's fusion",
        "cgnr",
        "fused: pixels that differ",
        plant_forgotten_row,
    ),
    Mutation("another threshold", "the pipeline", "task", "Dice", plant_threshold),
)
