"""A deployed module to the bytes of one self-contained ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from torch import nn

from fundusrt_export.errors import ExportError
from fundusrt_export.onnx_checks import HEIGHT, WIDTH
from fundusrt_export.passes import (
    binary_softmax,
    constant_reshape,
    constant_resize,
    merge_axes,
    stable_names,
    strip_metadata,
)

__all__ = ["INPUT", "OPSET", "PASSES", "to_onnx", "traced"]

OPSET = 18
INPUT = "image"

PASSES: tuple[Callable[[onnx.ModelProto], int], ...] = (
    constant_reshape,
    constant_resize,
    merge_axes,
    binary_softmax,
    strip_metadata,
    stable_names,
)
"""In the order they run: names come last, when every node is there that will be."""

logger = logging.getLogger(__name__)

# torch.onnx warns about each torchvision operator it could not register; the other two narrate every rewrite.
_LOG_LEVELS = {"torch.onnx": logging.ERROR, "onnxscript": logging.WARNING, "onnx_ir": logging.WARNING}


def to_onnx(
    module: nn.Module,
    shape: tuple[int, int, int],
    output: str,
    *,
    step_px: int | None = None,
    progress: Callable[[str], None] = logger.info,
) -> bytes:
    """Trace a module and clean the graph.

    Input `image` (batch, C, H, W) float32, the batch free and the rest fixed. Opset 18: from 21 on GroupNorm becomes an
    operator that TensorRT refuses and ONNX Runtime expands on the CPU. The bytes depend on the weights, the shape and
    the package versions only.

    Args:
        module: maps one (N, C, H, W) float32 tensor to one tensor; eval mode. Its network is its attribute `network`,
            whose parameters keep the names they have in a checkpoint.
        shape: C, H and W.
        output: name of what it returns.
        step_px: if given, height and width are free too: multiples of it, named `height` and `width`.
        progress: called with the number of nodes before and after each pass that changed something.

    Returns:
        The content of the ONNX file; what it may hold is checked elsewhere (`onnx_checks`).

    Raises:
        ExportError: the exporter failed.
    """
    model = traced(module, shape, output, step_px)
    for each in PASSES:
        before = len(model.graph.node)
        changes = each(model)
        if changes:
            progress(f"  pass {each.__name__}: {before} -> {len(model.graph.node)} nodes, {changes} changes")
    return model.SerializeToString(deterministic=True)


def traced(module: nn.Module, shape: tuple[int, int, int], output: str, step_px: int | None = None) -> onnx.ModelProto:
    """Trace a module as the exporter does it, before any pass; arguments and errors as of `to_onnx`."""
    # Two images: the exporter takes a batch of one for a constant.
    example = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0))
    free: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    if step_px is not None:
        free |= {2 + k: step_px * torch.export.Dim(f"steps_{k}", min=2, max=256) for k in range(2)}
    try:
        with _quiet_exporter():
            program: Any = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[output],
                dynamic_shapes=(free,),
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(
            "ONNX export",
            got=str(error).splitlines()[0],
            expected="a graph",
            fix="see the exporter's own message above",
        ) from error
    model: onnx.ModelProto = program.model_proto
    if step_px is not None:
        for value in (*model.graph.input, *model.graph.output):
            for axis, name in ((2, HEIGHT), (3, WIDTH)):
                value.type.tensor_type.shape.dim[axis].dim_param = name
        del model.graph.value_info[:]  # in terms of steps; shape inference finds them again
    return model


@contextmanager
def _quiet_exporter() -> Generator[None]:
    """Drop the exporter's notes about PyTorch's future and absent optional packages; pass on every other warning."""
    loggers = {logging.getLogger(name): level for name, level in _LOG_LEVELS.items()}
    before = {log: log.level for log in loggers}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for log, level in loggers.items():
                log.setLevel(level)
            yield
        finally:
            for log, level in before.items():
                log.setLevel(level)
    for warning in caught:
        if not issubclass(warning.category, FutureWarning | DeprecationWarning | PendingDeprecationWarning):
            logger.warning("ONNX export: %s", warning.message)
