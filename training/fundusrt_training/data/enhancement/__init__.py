"""Enhancement data: good photographs, degraded on the fly, and real bad ones without a better partner."""

from fundusrt_training.data.enhancement.degraded_pool import degraded_pool, pair_degradation, pool_seed
from fundusrt_training.data.enhancement.folder import EnhancementFiles, read_enhancement
from fundusrt_training.data.enhancement.pairs import EnhancementPairs, PairBatch, PairDraw

__all__ = [
    "EnhancementFiles",
    "EnhancementPairs",
    "PairBatch",
    "PairDraw",
    "degraded_pool",
    "pair_degradation",
    "pool_seed",
    "read_enhancement",
]
