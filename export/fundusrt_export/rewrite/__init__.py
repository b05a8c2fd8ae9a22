"""Exact rewrites of modules. Each proves itself and declines, by name, what it cannot do.

replace.py        `rewrite_wavelets`: pytorch_wavelets to fixed convolutions, in any model
analysis.py       `ConvDWT`      synthesis.py  `ConvIDWT`     padding.py  borders     filters.py  kernels
haar_identity.py  `rewrite_haar_identity`: UNet-Wavelet without wavelet operations (needs fundusrt_training)
group_norm.py     `rewrite_group_norms`: group normalisation that stays accurate on every runtime
batch_norm.py     `fold_batch_norms`: into the convolution before it
resize_commutation.py   `commute_resizes`: SS-MAF's 1x1 convolutions before the resize (needs fundusrt_training)
stacked_halves.py `stack_halves`: MAGE-Net's halves on the batch axis (needs fundusrt_training)
proof.py          equality on the model's own data
"""

from __future__ import annotations

from fundusrt_export.rewrite.analysis import ConvDWT
from fundusrt_export.rewrite.replace import rewrite_wavelets
from fundusrt_export.rewrite.synthesis import ConvIDWT

__all__ = ["ConvDWT", "ConvIDWT", "rewrite_wavelets"]
