"""Graph passes: one exact rewrite of an ONNX graph a file, each a function `(model) -> number of changes`, in place.

A pass's docstring lists its legal cases, numbered, and the case in which it declines (leaves the node as it is).
None of them changes a result by a single bit.
"""

from __future__ import annotations

from fundusrt_export.passes.constant_reshape import constant_reshape
from fundusrt_export.passes.constant_resize import constant_resize
from fundusrt_export.passes.stable_names import stable_names
from fundusrt_export.passes.strip_metadata import strip_metadata

__all__ = ["constant_reshape", "constant_resize", "stable_names", "strip_metadata"]
