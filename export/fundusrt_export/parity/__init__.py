"""The parity ladder: one measured rung between each two neighbours of the chain from training to the mask.

    PyTorch, library wavelets
        | wavelet-rewrite        wavelet_rewrite.py
    PyTorch, rewritten
        | torch-to-onnxruntime   torch_to_onnxruntime.py
    ONNX Runtime
        | tiled-to-stitched      tiled_to_stitched.py   (compares the pipeline with the top of the ladder again)
    stitched map and mask of the SDK

`certificate.py` turns the rungs into the certificate of a bundle. NaN and infinity never hold.
"""

from __future__ import annotations

from fundusrt_export.parity.certificate import make_certificate, require_all
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.tiled_to_stitched import tiled_to_stitched
from fundusrt_export.parity.torch_to_onnxruntime import torch_to_onnxruntime
from fundusrt_export.parity.wavelet_rewrite import wavelet_rewrite

__all__ = [
    "ParityInputs",
    "make_certificate",
    "require_all",
    "tiled_to_stitched",
    "torch_to_onnxruntime",
    "wavelet_rewrite",
]
