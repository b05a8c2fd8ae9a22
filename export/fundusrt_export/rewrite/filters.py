"""One-dimensional wavelet filters to two-dimensional convolution kernels.

Naming follows the library: the "col" filters act along the width and the "row" filters along the height (for a 4-tuple
`wave=(h0_col, h1_col, h0_row, h1_row)` its argument names are crossed inside, in both directions alike).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FUSED_TAPS", "FilterBank", "Filters", "Names", "fused_kernel", "stored_filters"]

Names = tuple[str, str, str, str]
Filters = tuple[Tensor, Tensor, Tensor, Tensor]

FUSED_TAPS = 8
"""Up to this length one fused 2-D kernel; beyond it two 1-D passes, whose cost grows with L and not with L squared."""


class FilterBank(torch.nn.Module):
    """Holds the four 1-D filters under the library's own buffer names and keeps the kernel derived from them in step.

    The filters stay persistent buffers, so a checkpoint of the original model loads into the rewritten one. The 2-D
    kernel is derived, never cast: after `.double()` it is the product of the doubled filters, as in the original, not
    a float32 product widened afterwards.

    Args:
        names: buffer names in the order (low along W, high along W, low along H, high along H).
        filters: the four filters, any shape with L elements each.
        saved: whether the filters belong to the state dict, as they do in the library.
    """

    kernel: Tensor | None

    def __init__(self, names: Names, filters: Filters, *, saved: bool = True) -> None:
        super().__init__()
        self._names = names
        shapes = ((1, 1, -1, 1), (1, 1, -1, 1), (1, 1, 1, -1), (1, 1, 1, -1))
        for name, values, shape in zip(names, filters, shapes, strict=True):
            self.register_buffer(name, values.detach().clone().reshape(shape), persistent=saved)
        self.register_buffer("kernel", None, persistent=False)
        self._derive()
        self.register_load_state_dict_post_hook(_derive_after_loading)

    @property
    def filters(self) -> Filters:
        """The 1-D filters as flat tensors: low along W, high along W, low along H, high along H."""
        low_w, high_w, low_h, high_h = (getattr(self, name).reshape(-1) for name in self._names)
        return low_w, high_w, low_h, high_h

    @property
    def taps(self) -> tuple[int, int]:
        """Filter lengths (along H, along W)."""
        low_w, _, low_h, _ = self.filters
        return low_h.numel(), low_w.numel()

    def _derive(self) -> None:
        self.kernel = fused_kernel(self.filters) if max(self.taps) <= FUSED_TAPS else None

    def _apply(self, fn: object, recurse: bool = True) -> FilterBank:
        """`.to()`, `.double()`, `.half()` and the like: convert the filters, then derive the kernel again."""
        super()._apply(fn, recurse)  # pyright: ignore[reportArgumentType]
        self._derive()
        return self


def fused_kernel(filters: Filters) -> Tensor:
    """Return the (4, 1, L_H, L_W) kernels LL, LH, HL, HH: the outer products (along H) x (along W).

    LH is low along W and high along H (PyWavelets' cH), HL the other way round (cV), HH both high (cD).
    """
    low_w, high_w, low_h, high_h = filters
    pairs = ((low_h, low_w), (high_h, low_w), (low_h, high_w), (high_h, high_w))
    return torch.stack([torch.outer(along_h, along_w) for along_h, along_w in pairs])[:, None]


def stored_filters(module: torch.nn.Module, names: Names) -> tuple[Filters, bool]:
    """Return the filters a library transform holds and whether its state dict holds them."""
    low_w, high_w, low_h, high_h = (module.get_buffer(name) for name in names)
    saved = not module._non_persistent_buffers_set & set(names)  # PyTorch offers no other way to ask
    return (low_w, high_w, low_h, high_h), saved


def _derive_after_loading(module: torch.nn.Module, incompatible_keys: object) -> None:
    """A function, not a bound method: that would keep the original module alive in copies."""
    del incompatible_keys
    if isinstance(module, FilterBank):
        module._derive()
