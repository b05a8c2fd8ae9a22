"""Enhancement data: good photographs, degraded on the fly, and real bad ones without a better partner."""

from fundusrt_training.data.enhancement.folder import EnhancementFiles, read_enhancement
from fundusrt_training.data.enhancement.pairs import EnhancementPairs, PairBatch, PairDraw, pair_degradation

__all__ = [
    "EnhancementFiles",
    "EnhancementPairs",
    "PairBatch",
    "PairDraw",
    "pair_degradation",
    "read_enhancement",
]
