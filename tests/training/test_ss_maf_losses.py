"""CBCE and RMI: golden values of the authors' code and the paper's formula, plain loops, absent classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fundusrt_training.losses.class_balanced import class_balanced_cross_entropy, class_weights
from fundusrt_training.losses.region_mutual_information import region_mutual_information
from tests.tolerances import LOSS_FLOAT32


def golden() -> tuple[Tensor, Tensor]:
    """Logits 2 sin(0.37 i) and labels (7919 j mod 11 < 3): 392 ones of 1440."""
    i = torch.arange(2 * 2 * 24 * 30, dtype=torch.float64)
    j = torch.arange(2 * 24 * 30)
    labels = ((7919 * j) % 11 < 3).long().view(2, 24, 30)
    assert int(labels.sum()) == 392
    return (2.0 * torch.sin(0.37 * i)).float().view(2, 2, 24, 30), labels


def test_cbce_of_the_authors() -> None:
    logits, labels = golden()
    assert float(class_balanced_cross_entropy(logits, labels)) == pytest.approx(1.356793, abs=LOSS_FLOAT32)
    plain = float(F.cross_entropy(logits, labels))
    assert plain == pytest.approx(1.358500, abs=LOSS_FLOAT32)
    assert float(class_balanced_cross_entropy(logits, labels, beta=0.0)) == pytest.approx(plain, abs=LOSS_FLOAT32)


def test_cbce_as_printed() -> None:
    logits, labels = golden()
    each = [float(class_balanced_cross_entropy(logits[i : i + 1], labels[i : i + 1], norm="sum")) for i in (0, 1)]
    assert each == pytest.approx([1.379716, 1.382869], abs=LOSS_FLOAT32)
    both = float(class_balanced_cross_entropy(logits, labels, norm="sum"))
    assert both == pytest.approx(sum(each) / 2, abs=LOSS_FLOAT32)
    mean = float(class_balanced_cross_entropy(logits, labels, norm="mean"))
    assert mean == pytest.approx(both / (24 * 30), rel=LOSS_FLOAT32)


@pytest.mark.parametrize("norm", ["weighted_mean", "sum", "mean"])
def test_cbce_against_a_loop(norm: str) -> None:
    logits, labels = golden()
    logits, labels, beta = logits[:, :, :5, :7], labels[:, :5, :7], 0.99
    total, weights = 0.0, 0.0
    for image in range(2):
        for y in range(5):
            for x in range(7):
                label = int(labels[image, y, x])
                seen = labels if norm == "weighted_mean" else labels[image]
                weight = (1 - beta) / (1 - beta ** int((seen == label).sum()))
                scores = [float(v) for v in logits[image, :, y, x]]
                total -= weight * (scores[label] - math.log(sum(math.exp(s) for s in scores)))
                weights += weight
    by = {"weighted_mean": weights, "sum": 2 * 2, "mean": 2 * 2 * 35}[norm]
    loss = class_balanced_cross_entropy(logits, labels, beta, norm)  # pyright: ignore
    assert float(loss) == pytest.approx(total / by, abs=LOSS_FLOAT32)


def test_an_absent_class_weighs_nothing() -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    assert class_weights(labels, 2, 0.9999)[1] == 0.0
    for norm in ("weighted_mean", "sum", "mean"):
        loss = class_balanced_cross_entropy(torch.ones(1, 2, 4, 4), labels, norm=norm)  # pyright: ignore
        assert float(loss) > 0.0


def test_weights_at_the_sizes_the_paper_meets() -> None:
    labels = torch.zeros(200_000, dtype=torch.long)
    labels[:100] = 1
    labels[100:1100] = 2
    expected = [1e-4, 1.005e-2, 1.0508e-3]
    assert class_weights(labels, 3, 0.9999).tolist() == pytest.approx(expected, rel=1e-3)


def test_rmi_golden() -> None:
    logits, labels = golden()
    assert float(region_mutual_information(logits, labels)) == pytest.approx(-0.195354, abs=LOSS_FLOAT32)
    assert float(region_mutual_information(logits, labels, w=0.0)) == pytest.approx(-2.223315, abs=LOSS_FLOAT32)
    assert float(region_mutual_information(logits, labels, w=1.0)) == pytest.approx(1.832608, abs=LOSS_FLOAT32)


def test_rmi_against_a_loop() -> None:
    logits, labels = golden()
    logits, labels = logits[:, :, :17, :20], labels[:, :17, :20]
    probability = 1.0 / (1.0 + np.exp(-logits.double().numpy())) + 1e-6
    total = 0.0
    for image in range(2):
        for c in range(2):
            planes = []
            for values in ((labels[image] == c).double().numpy(), probability[image, c]):
                padded = np.pad(values, 1)  # zeros count, as in the authors' pooling
                rows, columns = (padded.shape[0] - 3) // 3 + 1, (padded.shape[1] - 3) // 3 + 1
                pooled = np.array(
                    [[padded[3 * y : 3 * y + 3, 3 * x : 3 * x + 3].mean() for x in range(columns)] for y in range(rows)]
                )
                vectors = [pooled[y : y + 3, x : x + 3].ravel() for y in range(rows - 2) for x in range(columns - 2)]
                planes.append(np.array(vectors) - np.mean(vectors, axis=0))
            y, p = planes
            ridge = 5e-4 * np.eye(9)
            m = y.T @ y - y.T @ p @ np.linalg.inv(p.T @ p + ridge) @ p.T @ y
            total += 0.5 / 9 * np.linalg.slogdet(m + ridge)[1] / 2
    assert float(region_mutual_information(logits, labels, w=0.0)) == pytest.approx(total, abs=LOSS_FLOAT32)


def test_rmi_of_an_image_without_lesions_is_finite_and_has_gradients() -> None:
    logits = torch.full((1, 2, 24, 24), -3.0, requires_grad=True)
    loss = region_mutual_information(logits, torch.zeros(1, 24, 24, dtype=torch.long))
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
    assert float(logits.grad.abs().max()) > 0.0


def test_rmi_rewards_the_right_answer() -> None:
    _, labels = golden()
    right = F.one_hot(labels, 2).movedim(-1, 1).float() * 12.0 - 6.0
    assert float(region_mutual_information(right, labels)) < float(region_mutual_information(-right, labels)) - 1.0
