"""The parity ladder: one measured rung between each two neighbours of the chain from training to the answer.

    CMWNet                                             SS-MAF, MAGE-Net
    R0 wavelets' matrices      wavelet_matrix.py
    PyTorch, library wavelets                          PyTorch, the training network
        | R1 wavelet-rewrite       wavelet_rewrite.py      | R1 deployed-form       deployed_form.py
    PyTorch, rewritten                                 PyTorch, pruned and rewritten
        | R2 torch-to-onnxruntime  torch_to_onnxruntime.py | R2 torch-to-onnxruntime
    ONNX Runtime                                       ONNX Runtime
        | R3 runtimes              runtimes.py             | R3 runtimes            the graphs for other runtimes
        | R4 precision-...         precision.py            | R4 precision-...       other precisions
        | R5 tiled-to-stitched     tiled_to_stitched.py    | R5 end-to-end          end_to_end.py
    stitched map and mask of the SDK                   map and mask, or image, of the SDK
    R6 cgnr                    refinement.py
    R7 task                    task.py                 R7 task

R5 and R7 compare the pipeline with the top of the ladder again (`reference.py`, `frame_reference.py`). Every limit is
in `fundusrt.ladder`. Where R2 fails, `first_divergence.py` finds the layer and `reproducer.py` writes it down.

`certificate.py` turns the rungs into the certificate of a bundle. NaN and infinity never hold.
"""

from __future__ import annotations

from fundusrt_export.parity.certificate import make_certificate, require_all, require_holding
from fundusrt_export.parity.deployed_form import deployed_form
from fundusrt_export.parity.equal_variants import equal_variants
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.parity.precision import precision
from fundusrt_export.parity.runtimes import runtimes
from fundusrt_export.parity.same_network import DivergenceError, require_same_graph, require_same_network
from fundusrt_export.parity.tiled_to_stitched import tiled_to_stitched
from fundusrt_export.parity.torch_to_onnxruntime import torch_to_onnxruntime
from fundusrt_export.parity.wavelet_matrix import wavelet_matrix
from fundusrt_export.parity.wavelet_rewrite import wavelet_rewrite

__all__ = [
    "DivergenceError",
    "ParityInputs",
    "deployed_form",
    "equal_variants",
    "make_certificate",
    "precision",
    "require_all",
    "require_holding",
    "require_same_graph",
    "require_same_network",
    "runtimes",
    "tiled_to_stitched",
    "torch_to_onnxruntime",
    "wavelet_matrix",
    "wavelet_rewrite",
]
