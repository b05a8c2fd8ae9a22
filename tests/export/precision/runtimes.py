"""The three runtimes a file must be good for: two run it, TensorRT-RTX parses and builds it, which needs no GPU."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import onnx
import pytest

from fundusrt.backends.openvino import openvino_core

__all__ = ["rtx_plan_bytes", "run_openvino"]


def run_openvino(content: bytes, tile: np.ndarray) -> np.ndarray:
    pytest.importorskip("openvino")
    core = openvino_core()
    compiled = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(next(iter(compiled([tile]).values())))


def rtx_plan_bytes(content: bytes) -> int:
    """Return the size of the plan; fails with the parser's or the builder's own words."""
    pytest.importorskip("tensorrt_rtx")
    trt: Any = import_module("tensorrt_rtx")
    said: list[str] = []

    class Collector(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                said.append(message)

    logger = Collector()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(content), [parser.get_error(index).desc() for index in range(parser.num_errors)]
    given = onnx.load_model_from_string(content).graph.input[0]
    shape = [size.dim_value or 1 for size in given.type.tensor_type.shape.dim]
    profile, config = builder.create_optimization_profile(), builder.create_builder_config()
    profile.set_shape(given.name, shape, shape, shape)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, said
    return int(plan.nbytes)
