"""MAGE-Net's supervised objective: the paper's sum, each term switched off alone, vessels as shares of a pixel."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fundusrt.errors import UsageError
from fundusrt_training.losses.enhancement import EnhancementLoss
from fundusrt_training.losses.mage_net import MageLossConfig, mage_losses
from fundusrt_training.losses.vessels import vessel_cross_entropy, vessel_squared_error
from fundusrt_training.models.mage_net import MageOutputs


def example() -> tuple[MageOutputs, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(3, 2, 3, 16, 16, generator=random)
    maps = torch.randn(5, 2, 2, 16, 16, generator=random)
    return MageOutputs((images[0], images[1]), tuple(maps)), images[2], torch.rand(2, 16, 16, generator=random)


def test_the_papers_sum() -> None:
    outputs, target, vessels = example()
    terms = mage_losses(outputs, target, vessels, MageLossConfig())
    stages = [float(EnhancementLoss()(image, target)) for image in outputs.stages]
    sides = sum(float(vessel_cross_entropy(each, vessels)) for each in outputs.maps[:4])  # not their average
    assert [float(terms[name]) for name in ("stage1", "stage2", "seg")] == pytest.approx([*stages, sides])
    assert float(terms["loss"]) == pytest.approx(sum(stages) + 0.5 * sides)


@pytest.mark.parametrize(
    ("fields", "weights"),
    [
        ({"seg_weight": 0.0}, (1.0, 1.0, 0.0)),
        ({"stage_weights": (0.0, 1.0)}, (0.0, 1.0, 0.5)),
        ({"stage_weights": (2.0, 0.5), "seg_weight": 3.0}, (2.0, 0.5, 3.0)),
    ],
)
def test_each_weight(fields: dict[str, Any], weights: tuple[float, ...]) -> None:
    outputs, target, vessels = example()
    terms = mage_losses(outputs, target, vessels, MageLossConfig(**fields))
    assert ("seg" in terms) == (weights[2] > 0)
    values = [float(terms.get(name, torch.zeros(()))) for name in ("stage1", "stage2", "seg")]
    assert float(terms["loss"]) == pytest.approx(sum(w * v for w, v in zip(weights, values, strict=True)))


def test_the_terms_of_a_stage() -> None:
    outputs, target, _ = example()

    def loss(**fields: Any) -> float:
        return float(mage_losses(outputs, target, None, MageLossConfig(**fields))["loss"])

    assert loss(edge_weight=0.0) + loss(char_weight=0.0) == pytest.approx(loss())
    assert loss(char_weight=3.0) - loss() == pytest.approx(2 * loss(edge_weight=0.0), rel=1e-5)


def test_without_vessels_or_maps_there_is_no_structure_term() -> None:
    outputs, target, vessels = example()
    for made, share in ((outputs, None), (MageOutputs(outputs.stages, ()), vessels)):
        terms = mage_losses(made, target, share, MageLossConfig())
        assert set(terms) == {"stage1", "stage2", "loss"}
    one = mage_losses(MageOutputs(outputs.stages[:1], ()), target, None, MageLossConfig())
    assert float(one["loss"]) == float(one["stage1"])


def test_vessel_losses() -> None:
    outputs, _, vessels = example()
    logits, mask = outputs.maps[0], (vessels > 0.5).float()
    torch.testing.assert_close(vessel_cross_entropy(logits, mask), F.cross_entropy(logits, mask.long()))
    p = logits.softmax(dim=1)[:, 1]
    torch.testing.assert_close(vessel_cross_entropy(logits, vessels), F.binary_cross_entropy(p, vessels))
    torch.testing.assert_close(vessel_squared_error(logits, vessels), F.mse_loss(p, vessels))
    even = torch.zeros(1, 2, 4, 4)
    assert float(vessel_cross_entropy(even, torch.rand(1, 4, 4))) == pytest.approx(math.log(2))
    terms = mage_losses(outputs, example()[1], vessels, MageLossConfig(seg="mse"))
    assert float(terms["seg"]) == pytest.approx(sum(float(vessel_squared_error(m, vessels)) for m in outputs.maps[:4]))


@pytest.mark.parametrize(
    "fields",
    [
        {"seg": "dice"},
        {"seg_weight": -0.5},
        {"stage_weights": (1.0, -1.0)},
        {"char_weight": -1.0},
        {"edge_weight": float("nan")},
    ],
    ids=str,
)
def test_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"loss\.{next(iter(fields))}"):
        MageLossConfig(**fields)
