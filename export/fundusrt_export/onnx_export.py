"""One branch to one self-contained ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from torch import Tensor

from fundusrt_export.branch import DeployedBranch, Form, Normalisation, deployed_form, uniform_noise, with_normalisation
from fundusrt_export.errors import ExportError
from fundusrt_export.onnx_checks import check_onnx
from fundusrt_export.passes import constant_reshape, stable_names, strip_metadata
from fundusrt_training.models.unet_wavelet import UNetWavelet, check_images

__all__ = ["INPUT", "OPSET", "OUTPUT", "export_branch"]

OPSET = 18
INPUT = "image"
OUTPUT = "probability"

logger = logging.getLogger(__name__)

# torch.onnx warns about each torchvision operator it could not register; the other two narrate every rewrite.
_LOG_LEVELS = {"torch.onnx": logging.ERROR, "onnxscript": logging.WARNING, "onnx_ir": logging.WARNING}


def export_branch(
    network: UNetWavelet,
    *,
    form: Form = "identity",
    normalisation: Normalisation = "two_pass",
    size_px: int = 512,
    example: Tensor | None = None,
) -> bytes:
    """Rewrite one branch, export it to ONNX and check the file.

    Input `image` (batch, C, size, size) float32, output `probability` (batch, 1, size, size) float32; the sigmoid is
    inside, the threshold is not. The batch is free, height and width are fixed. Opset 18: from 21 on GroupNorm
    becomes an operator that TensorRT refuses and ONNX Runtime expands on the CPU. The bytes depend on the weights,
    the configuration and the package versions only.

    Args:
        network: the trained branch in library form, float32; not modified.
        form: `identity` or `convolution`; exactly equal.
        normalisation: `two_pass` or `instance`, see `branch.with_normalisation`.
        size_px: height and width in px, a multiple of 2^levels.
        example: (N, C, size, size) on which the rewrites prove themselves; default: uniform noise.

    Returns:
        The content of the ONNX file.

    Raises:
        RewriteDeclined: the network has no such form.
        ExportError: the exporter failed, or the file holds what it must not (`onnx_checks`).
    """
    shape = (2, network.config.in_channels, size_px, size_px)
    check_images(torch.empty(shape, device="meta"), network.config, "network to export")
    example = uniform_noise(network, size_px) if example is None else example
    rewritten = deployed_form(network, form, example=example)
    branch = DeployedBranch(with_normalisation(rewritten, normalisation, example))
    model = _trace(branch, shape)
    removed = constant_reshape(model)
    strip_metadata(model)
    stable_names(model)
    logger.info("%s form: %d nodes, %d shape computations made constant", form, len(model.graph.node), removed)
    content = model.SerializeToString(deterministic=True)
    check_onnx(content, network.config, form, normalisation, size_px)
    return content


def _trace(branch: DeployedBranch, shape: tuple[int, int, int, int]) -> onnx.ModelProto:
    # Two images: the exporter takes a batch of one for a constant.
    example = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    try:
        with _quiet_exporter():
            program: Any = torch.onnx.export(
                branch,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1)}},
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(
            "ONNX export", got=str(error).splitlines()[0], fix="see the exporter's own message above"
        ) from error
    model: onnx.ModelProto = program.model_proto
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
