"""The parity ladder: one measured rung between each two neighbours of the chain from training to the answer.

    CMWNet                                             SS-MAF, MAGE-Net
    PyTorch, library wavelets                          PyTorch, the training network
        | wavelet-rewrite        wavelet_rewrite.py        | deployed-form          deployed_form.py
    PyTorch, rewritten                                 PyTorch, pruned and rewritten
        | torch-to-onnxruntime   torch_to_onnxruntime.py   | torch-to-onnxruntime
    ONNX Runtime  -- equal-variants   equal_variants.py   --  the graphs for other runtimes (both)
        | tiled-to-stitched      tiled_to_stitched.py      | end-to-end             end_to_end.py
    stitched map and mask of the SDK                   map and mask, or image, of the SDK

The last rung compares the pipeline with the top of the ladder again (`reference.py`, `frame_reference.py`).

`certificate.py` turns the rungs into the certificate of a bundle. NaN and infinity never hold.
"""

from __future__ import annotations

from fundusrt_export.parity.certificate import make_certificate, require_all
from fundusrt_export.parity.deployed_form import deployed_form
from fundusrt_export.parity.equal_variants import equal_variants
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.tiled_to_stitched import tiled_to_stitched
from fundusrt_export.parity.torch_to_onnxruntime import torch_to_onnxruntime
from fundusrt_export.parity.wavelet_rewrite import wavelet_rewrite

__all__ = [
    "ParityInputs",
    "deployed_form",
    "equal_variants",
    "make_certificate",
    "require_all",
    "tiled_to_stitched",
    "torch_to_onnxruntime",
    "wavelet_rewrite",
]
