"""The mean teacher: its average is the reverse of CMWNet's, its ramp and noise keep their limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from fundusrt.errors import UsageError
from fundusrt_training.models.mage_net import MageOutputs
from fundusrt_training.systems.mean_teacher import MeanTeacher, TeacherConfig, consistency, noisy, ramp


def constant(value: float) -> nn.Module:
    layer = nn.BatchNorm2d(2)
    nn.init.constant_(layer.weight, value)
    nn.init.constant_(layer.running_mean, value)  # pyright: ignore
    return layer


def test_old_weights_weigh_a() -> None:
    teacher = MeanTeacher(constant(1.0), TeacherConfig(decay=0.9, warmup=False))
    teacher.follow(constant(0.0), 0)
    assert teacher.network.weight.tolist() == pytest.approx([0.9, 0.9])
    assert teacher.network.running_mean.tolist() == [0.0, 0.0]  # a copy, not an average
    teacher.follow(constant(0.0), 1)
    assert teacher.network.weight.tolist() == pytest.approx([0.81, 0.81])


def test_warm_up_is_the_plain_mean_at_first() -> None:
    teacher = MeanTeacher(constant(5.0), TeacherConfig(decay=0.75))
    for step, value in enumerate((1.0, 2.0, 6.0)):
        teacher.follow(constant(value), step)
    assert teacher.network.weight.tolist() == pytest.approx([3.0, 3.0])  # (1 + 2 + 6) / 3: a = 0, 1/2, 2/3
    for step in range(3, 9):
        teacher.follow(constant(0.0), step)
    assert teacher.network.weight.tolist() == pytest.approx([3.0 * 0.75**6] * 2)


def test_the_teacher_learns_nothing_by_itself() -> None:
    student = nn.Conv2d(3, 3, 1)
    teacher = MeanTeacher(student, TeacherConfig())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher(torch.rand(1, 3, 4, 4, requires_grad=True)).requires_grad
    assert all(a is not b for a, b in zip(teacher.parameters(), student.parameters(), strict=True))


def test_ramp() -> None:
    config = TeacherConfig(mu_max=2.0, ramp_frac=0.3)
    assert ramp(0, 1000, config) == pytest.approx(2.0 * math.exp(-5))
    assert ramp(150, 1000, config) == pytest.approx(2.0 * math.exp(-1.25))
    assert [ramp(step, 1000, config) for step in (300, 301, 1000)] == [2.0, 2.0, 2.0]
    assert ramp(0, 1000, TeacherConfig(ramp_frac=0.0)) == 1.0


def test_noise() -> None:
    x = torch.full((1, 3, 200, 200), 0.5)
    made = noisy(x, TeacherConfig(), torch.Generator().manual_seed(0)) - x
    assert float(made.abs().max()) <= 0.2 + 1e-6
    assert float(made.std()) == pytest.approx(0.0954, abs=0.001)  # of a normal 0.1, cut at two deviations
    assert float(made.mean()) == pytest.approx(0.0, abs=0.001)
    assert torch.equal(noisy(x, TeacherConfig(noise_sigma=0.0)), x)


def test_consistency_adds_every_stage_and_side_output() -> None:
    def outputs(value: float, logit: float) -> MageOutputs:
        image, logits = torch.full((1, 3, 4, 4), value), torch.zeros(1, 2, 4, 4)
        logits[:, 1] = logit
        return MageOutputs((image, image + 1.0), (logits,) * 5)

    found = float(consistency(outputs(0.5, 0.0), outputs(0.3, 2.0)))
    difference = 1 / (1 + math.exp(-2.0)) - 0.5
    assert found == pytest.approx(2 * 0.04 + 4 * difference**2, rel=1e-5)
    assert float(consistency(outputs(0.5, 1.0), outputs(0.5, 1.0))) == 0.0


@pytest.mark.parametrize(
    "fields", [{"decay": 1.0}, {"ramp_frac": 1.5}, {"mu_max": -1.0}, {"noise_sigma": float("nan")}], ids=str
)
def test_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"teacher\.{next(iter(fields))}"):
        TeacherConfig(**fields)
