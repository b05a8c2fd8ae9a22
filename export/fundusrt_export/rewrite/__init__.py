"""Exact rewrites of modules. Each proves itself and declines, by name, what it cannot do."""

from __future__ import annotations

from fundusrt_export.rewrite.analysis import ConvDWT
from fundusrt_export.rewrite.replace import rewrite_wavelets
from fundusrt_export.rewrite.synthesis import ConvIDWT

__all__ = ["ConvDWT", "ConvIDWT", "rewrite_wavelets"]
