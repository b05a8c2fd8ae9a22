"""Networks of six convolutions with one planted property each, and tiles with bright spots."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fundusrt_export.precision.judgement import answers

__all__ = ["CHANNELS", "SIZE_PX", "segmenter", "tiles"]

SIZE_PX, CHANNELS = 24, 8


def tiles(count: int, seed: int = 0) -> np.ndarray:
    """(count, 1, 24, 24) float32 in [0, 1]: noise, a slope and a bright spot."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIZE_PX, 0:SIZE_PX] / SIZE_PX
    made = []
    for y, x in random.uniform(0.2, 0.8, (count, 2)):
        spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 0.02)
        made.append(0.2 * random.random((SIZE_PX, SIZE_PX)) + 0.2 * rows + 0.6 * spot)
    return np.stack(made)[:, None].astype(np.float32)


def segmenter(*, outlier: float = 1.0, gain: float = 1.0, offset: float = 0.0) -> bytes:
    """Conv_0, normalisation, Conv_1 to Conv_4, Conv_5 (1x1), Sigmoid; about a fifth of the pixels of `tiles` is marked.

    Args:
        outlier: factor of one channel between Conv_1 and Conv_2; in float32 the function stays the same.
        gain: factor of all channels between Relu_1 and Conv_2; in float32 the function stays the same.
        offset: added to every logit.
    """
    random = np.random.default_rng(1)
    weights: dict[str, np.ndarray] = {}
    for number, given in enumerate((1, CHANNELS, CHANNELS, CHANNELS, CHANNELS)):
        weights[f"w{number}"] = random.standard_normal((CHANNELS, given, 3, 3)) / np.sqrt(4 * given)
        weights[f"b{number}"] = random.uniform(0.0, 0.2, CHANNELS)
    weights["w5"] = random.standard_normal((1, CHANNELS, 1, 1))
    weights["b5"] = np.zeros(1)
    weights["w1"][0], weights["b1"][0] = weights["w1"][0] * outlier, weights["b1"][0] * outlier
    weights["w2"][:, 0] /= outlier
    weights["gain"], weights["loss"], weights["eps"] = np.array([gain]), np.array([1.0 / gain]), np.array([1e-5])
    weights["scale"] = random.uniform(0.5, 1.5, (CHANNELS, 1, 1))
    probe = _model(weights, sigmoid=False)
    logits = np.concatenate([answer.ravel() for answer in answers(probe, tiles(8), threads=1)])
    high, middle = np.quantile(logits, [0.95, 0.8])
    factor = 3.0 / (high - middle)
    weights["w5"], weights["b5"] = weights["w5"] * factor, np.array([offset - middle * factor])
    return _model(weights, sigmoid=True)


def _model(weights: dict[str, np.ndarray], *, sigmoid: bool) -> bytes:
    axes = {"spatial": np.array([2, 3], np.int64)}
    steps = [
        ("Conv_0", "Conv", ["image", "w0", "b0"], "c0"),
        ("Mean_0", "ReduceMean", ["c0", "spatial"], "mean"),
        ("Sub_0", "Sub", ["c0", "mean"], "centred"),
        ("Square_0", "Mul", ["centred", "centred"], "squares"),
        ("Mean_1", "ReduceMean", ["squares", "spatial"], "variance"),
        ("Add_0", "Add", ["variance", "eps"], "shifted"),
        ("Sqrt_0", "Sqrt", ["shifted"], "deviation"),
        ("Reciprocal_0", "Reciprocal", ["deviation"], "inverse"),
        ("Scale_0", "Mul", ["inverse", "scale"], "factor"),
        ("Normalise_0", "Mul", ["centred", "factor"], "normal"),
        ("Relu_0", "Relu", ["normal"], "r0"),
        ("Conv_1", "Conv", ["r0", "w1", "b1"], "c1"),
        ("Relu_1", "Relu", ["c1"], "r1"),
        ("Gain_0", "Mul", ["r1", "gain"], "loud"),
        ("Loss_0", "Mul", ["loud", "loss"], "quiet"),
        ("Conv_2", "Conv", ["quiet", "w2", "b2"], "c2"),
        ("Relu_2", "Relu", ["c2"], "r2"),
        ("Conv_3", "Conv", ["r2", "w3", "b3"], "c3"),
        ("Relu_3", "Relu", ["c3"], "r3"),
        ("Conv_4", "Conv", ["r3", "w4", "b4"], "c4"),
        ("Relu_4", "Relu", ["c4"], "r4"),
        ("Conv_5", "Conv", ["r4", "w5", "b5"], "logit" if sigmoid else "answer"),
    ]
    if sigmoid:
        steps.append(("Sigmoid_0", "Sigmoid", ["logit"], "answer"))
    nodes = []
    for name, operator, inputs, output in steps:
        padded = operator == "Conv" and name != "Conv_5"
        nodes.append(helper.make_node(operator, inputs, [output], name=name, **({"pads": [1] * 4} if padded else {})))
    image, answer = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, SIZE_PX, SIZE_PX])
        for name in ("image", "answer")
    )
    tensors = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()]
    tensors += [numpy_helper.from_array(values, name) for name, values in axes.items()]
    graph = helper.make_graph(nodes, "small", [image], [answer], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)
