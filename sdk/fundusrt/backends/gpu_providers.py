"""ONNX Runtime's GPU providers by the name of the backend; apart, so that `doctor` can ask without a GPU's packages."""

from __future__ import annotations

from typing import Literal

__all__ = ["GPU_PROVIDERS", "Provider"]

Provider = Literal["CUDAExecutionProvider", "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"]

GPU_PROVIDERS: dict[str, Provider] = {
    "onnxruntime": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
    "onnxruntime-tensorrt-rtx": "NvTensorRTRTXExecutionProvider",
}
