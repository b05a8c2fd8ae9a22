"""The figures by hand, on a network that adds a constant to its input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fundusrt_export.precision import LIMITS, DiceJudge, PsnrJudge

TILES = np.array([0.2, 0.45, 0.6, 0.9], np.float32).reshape(1, 1, 2, 2)


def adder(offset: float) -> bytes:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, 2, 2]) for name in "xy")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "offset"], ["y"], name="Add_0")],
        "g",
        [x],
        [y],
        [numpy_helper.from_array(np.array([offset], np.float32), "offset")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


def test_dice_drop() -> None:
    judge = DiceJudge(adder(0.0), TILES, threshold=0.5, limit=0.25, threads=1)
    assert judge(adder(0.0)).value == 0.0
    figure = judge(adder(0.1))  # three pixels instead of two: Dice 4 / 5
    assert figure.value == pytest.approx(0.2)
    assert figure.holds
    assert not judge(adder(-0.2)).holds  # one instead of two: Dice 2 / 3


def test_psnr() -> None:
    judge = PsnrJudge(adder(0.0), TILES, limit=25.0, threads=1)
    assert judge(adder(0.05)).value == pytest.approx(26.02, abs=0.01)
    assert judge(adder(0.05)).holds
    assert not judge(adder(0.1)).holds
    assert judge(adder(0.0)).holds
    assert math.isfinite(judge(adder(0.0)).value)
    assert PsnrJudge(adder(0.2), TILES, limit=25.0, threads=1)(adder(0.0)).value == pytest.approx(
        -10 * math.log10((3 * 0.2**2 + 0.1**2) / 4), abs=0.01
    ), "1.1 is clipped to 1"


def test_distance() -> None:
    judge = PsnrJudge(adder(0.0), TILES, limit=25.0, threads=1)
    assert judge.distance(adder(0.1)) == pytest.approx(0.01)


@pytest.mark.parametrize("offset", [math.nan, math.inf])
def test_what_is_not_finite_never_holds(offset: float) -> None:
    for judge in (
        DiceJudge(adder(0.0), TILES, threshold=0.5, limit=1.0, threads=1),
        PsnrJudge(adder(0.0), TILES, limit=0.0, threads=1),
    ):
        assert not judge(adder(offset)).holds
        assert judge.distance(adder(offset)) == math.inf


def test_limits_of_the_design() -> None:
    assert LIMITS["segmentation", "fp16"] == 0.002
    assert LIMITS["segmentation", "int8"] == 0.005
    assert LIMITS["enhancement", "fp16"] == 50.0
