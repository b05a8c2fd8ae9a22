"""INT8 as QuantizeLinear and DequantizeLinear around convolutions: ONNX Runtime's static quantiser.

Symmetric everywhere (zero point 0), int8 for weights, per output channel, and for what convolutions read, per tensor;
biases and what convolutions give stay float32. TensorRT's parsers refuse the default's int32 biases. Normalisations,
resizes and joins stay in float32: nothing is gained there, and fusion is lost.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from fundusrt.backends.base import Array

__all__ = ["CONVOLUTIONS", "StaticQuantiser"]

CONVOLUTIONS = ("Conv", "ConvTranspose")

_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    # A second quantisation between a convolution and its activation costs five times the error of the first.
    "OpTypesToExcludeOutputQuantization": list(CONVOLUTIONS),
}


class StaticQuantiser:
    """Measures the activations' ranges once, then quantises whichever convolutions are asked for.

    Args:
        model: float32, with named nodes; not modified.
        tiles: (N, C, H, W) float32; one of them is in memory with its activations at a time.

    Attributes:
        largest: max |x| of what convolutions take and give, by tensor name.
    """

    def __init__(self, model: onnx.ModelProto, tiles: Array) -> None:
        self._model = onnx.shape_inference.infer_shapes(model)
        self._ranges = _ranges(self._model, tiles)
        self.largest = {
            name: float(max(np.abs(bound).max() for bound in values.range_value))
            for name, values in self._ranges.items()
        }

    def quantise(self, convolutions: Sequence[str]) -> onnx.ModelProto:
        """Return the model with the named convolutions between QuantizeLinear and DequantizeLinear."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        copied = onnx.ModelProto()
        copied.CopyFrom(self._model)
        with _quiet():
            quantizer = QDQQuantizer(
                copied,
                per_channel=True,
                reduce_range=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QInt8,
                tensors_range=self._ranges,
                nodes_to_quantize=list(convolutions),
                nodes_to_exclude=[],
                op_types_to_quantize=list(CONVOLUTIONS),
                extra_options=dict(_OPTIONS),
            )
            quantizer.quantize_model()
            quantizer.model.topological_sort()
        result: onnx.ModelProto = quantizer.model.model
        del result.graph.value_info[:]
        return result


def _ranges(model: onnx.ModelProto, tiles: Array) -> Any:
    """Return the quantiser's own table of ranges of what convolutions take and give."""
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "network.onnx"
        onnx.save_model(model, path)
        calibrator = create_calibrator(
            path,
            list(CONVOLUTIONS),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"symmetric": True},
        )
        for tile in tiles:
            reader: Any = _OneTile(model.graph.input[0].name, tile)
            calibrator.collect_data(reader)
        return calibrator.compute_data()


class _OneTile:
    """A `CalibrationDataReader` of a single tile."""

    def __init__(self, feed: str, tile: Array) -> None:
        self._feeds: dict[str, Array] | None = {feed: tile[None]}

    def get_next(self) -> dict[str, Array] | None:
        feeds, self._feeds = self._feeds, None
        return feeds


@contextmanager
def _quiet() -> Generator[None]:
    """Drop the quantiser's advice, which it logs through the root logger."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
