"""Which part of each planned batch a process takes when several train together.

The plan of an epoch is the one of a single process. Rank r of w takes every w-th item of each batch, from the r-th on,
and its loss counts as the part of the batch it has seen: with losses that are means over images, the mean over ranks is
the loss, and its gradient the gradient, of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from torch.utils.data import DataLoader

from fundusrt_training.data.planned_loader import planned_loader

__all__ = ["rank_share"]


def rank_share(loader: DataLoader[Any], rank: int, ranks: int) -> tuple[DataLoader[Any], list[float]]:
    """Return the loader of one rank, and the weight of its loss in each of its batches.

    Args:
        loader: of the whole plan; its batch sampler gives lists of items.
        rank: of this process, from 0.
        ranks: number of processes.
    """
    shares: list[list[Any]] = []
    weights: list[float] = []
    for batch in cast("Iterable[list[Any]]", loader.batch_sampler):
        own = batch[rank::ranks]
        # Every rank has to take part in every step: one without an item takes the first and counts for nothing.
        shares.append(own or batch[:1])
        weights.append(len(own) * ranks / len(batch))
    return planned_loader(loader.dataset, shares, loader.num_workers, loader.collate_fn), weights
