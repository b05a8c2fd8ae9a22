"""The fake GPU's kernels and bundle, as `tests/sdk/cuda` has them."""

from __future__ import annotations

from tests.sdk.cuda.conftest import bundle, host_kernels

__all__ = ["bundle", "host_kernels"]
