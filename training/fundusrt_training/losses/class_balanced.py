"""Class-balanced cross-entropy, L_CBCE (SS-MAF paper, eq. 11).

A class with n pixels weighs (1 - b) / (1 - b^n): almost alike once n passes 1/(1 - b). The authors' code counts n over
the whole batch and divides by the sum of the applied weights (`weighted_mean`); the printed formula does neither: `sum`
counts per image, adds up over the pixels and divides by the number of classes (mean over images), `mean` also divides
by the number of pixels. An absent class weighs nothing.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["class_balanced_cross_entropy", "class_weights"]

Norm = Literal["weighted_mean", "sum", "mean"]


def class_weights(labels: Tensor, classes: int, beta: float) -> Tensor:
    """Return (1 - beta) / (1 - beta^n) of each class, float32, 0 for one that does not occur.

    Args:
        labels: integers from 0 to classes - 1, any shape.
        classes: number of classes.
        beta: 0 (all weigh 1) to below 1.
    """
    count = torch.stack([(labels == index).sum() for index in range(classes)]).double()  # bincount waits for a GPU
    weights = (1.0 - beta) / (1.0 - beta**count)
    return torch.where(count > 0, weights, torch.zeros_like(weights)).float()


def class_balanced_cross_entropy(
    logits: Tensor, labels: Tensor, beta: float = 0.9999, norm: Norm = "weighted_mean"
) -> Tensor:
    """Return the loss of logits (N, K, H, W) against labels (N, H, W) int64; in float32 whatever the logits are."""
    with torch.autocast(logits.device.type, enabled=False):
        logits, classes = logits.float(), logits.shape[1]
        if norm == "weighted_mean":
            return F.cross_entropy(logits, labels, class_weights(labels, classes, beta))
        of_image = torch.stack([class_weights(one, classes, beta) for one in labels])  # (N, K)
        weight = of_image.gather(1, labels.flatten(1)).view_as(labels)  # (N, H, W)
        total = (weight * F.cross_entropy(logits, labels, reduction="none")).sum() / classes
        return total / (labels.shape[0] if norm == "sum" else labels.numel())
