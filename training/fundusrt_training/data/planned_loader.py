"""The loader of planned batches: which items make a batch is decided beforehand, by the seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset

__all__ = ["planned_loader", "shuffled_passes"]


def shuffled_passes(items: int, passes: int, seed: tuple[int, ...]) -> list[int]:
    """Return `passes` permutations of the first whole numbers below `items`, one after the other."""
    random = np.random.default_rng(seed)
    return np.concatenate([random.permutation(items) for _ in range(passes)]).tolist()


def planned_loader(
    dataset: Dataset[Any],
    batches: Sequence[Sequence[Any]],
    workers: int,
    collate: Callable[[list[Any]], Any] | None = None,
) -> DataLoader[Any]:
    """Return a loader of these batches, in this order.

    Args:
        dataset: indexed by what the batches hold.
        batches: items of each batch.
        workers: loader processes; 0 loads in this process.
        collate: makes a batch of items; None for PyTorch's own.
    """
    return DataLoader(
        dataset,
        batch_sampler=batches,  # pyright: ignore (PyTorch declares indices; any items will do)
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=_one_thread,
    )


def _one_thread(worker: int) -> None:
    """Keep OpenCV from one thread a core in each loader process; PyTorch sees to its own."""
    del worker
    cv2.setNumThreads(1)
