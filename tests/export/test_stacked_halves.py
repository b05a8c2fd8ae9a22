"""The halves of MAGE-Net's first stage on the batch axis: equal to the original, or declined by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fundusrt_export.errors import RewriteDeclined, RewriteMismatch
from fundusrt_export.rewrite.stacked_halves import StackedHalves, stack_halves
from fundusrt_training.models.mage_net import Stage1
from tests.export.small_enhancement import net_config
from tests.export.wavelet_cases import distance, noise


class OneStage(nn.Module):
    """A model of one stage, so that the stage has a name."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = net_config(**fields)
        self.stage = Stage1(config, nn.PReLU())

    def forward(self, image: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        return self.stage(image)


@pytest.mark.parametrize("split", ["height", "width"])
@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (3, 3, 24, 40), (2, 3, 8, 8)])
def test_equal_to_training(split: str, shape: tuple[int, int, int, int]) -> None:
    original = OneStage(split=split).double().eval()
    made = stack_halves(original)
    assert type(made.stage) is StackedHalves
    x = noise(*shape)
    for expected, answered in zip(original(x), made(x), strict=True):
        for before, after in zip(expected, answered, strict=True):
            # sums of at most 108 products of order 1
            assert distance(before.detach(), after.detach()) <= 1e-13


def test_and_to_the_halves_one_by_one() -> None:
    """What the specification says: each half alone, then joined."""
    original = OneStage().double().eval()
    x = noise(2, 3, 16, 24)
    halves = [original.stage._encode(half) for half in x.chunk(2, dim=2)]
    for level, made in enumerate(stack_halves(original)(x)[0]):
        joined = torch.cat([half[level] for half in halves], dim=2)
        assert distance(joined.detach(), made.detach()) <= 1e-13


def test_names_stay_and_the_original_is_left_alone() -> None:
    original = OneStage().eval()
    made = stack_halves(original)
    assert list(made.state_dict()) == list(original.state_dict())
    assert type(original.stage) is Stage1
    assert not made.stage.training


def test_a_stage_that_does_not_split_is_left_as_it_is() -> None:
    assert type(stack_halves(OneStage(split="none").eval()).stage) is Stage1


def test_the_proof_finds_exchanged_images(monkeypatch: pytest.MonkeyPatch) -> None:
    real = StackedHalves._joined
    monkeypatch.setattr(StackedHalves, "_joined", lambda self, e: real(self, e).flip(0))
    model = OneStage().eval()
    one, two = noise(1, 3, 16, 16, dtype=torch.float32), noise(2, 3, 16, 16, dtype=torch.float32)
    stack_halves(model, example=one)  # a single image cannot show it
    with pytest.raises(RewriteMismatch, match="stage: output 0"):
        stack_halves(model, example=two)


class Own(Stage1):
    pass


def with_batch_norm() -> nn.Module:
    model = OneStage()
    model.stage.encoder[0][0].attention = nn.BatchNorm2d(8)
    return model.eval()


def hooked() -> nn.Module:
    model = OneStage()
    model.stage.shallow.register_forward_hook(lambda *_: None)
    return model.eval()


def subclass() -> nn.Module:
    model = OneStage()
    model.stage = Own(net_config(), None)
    return model.eval()


DECLINED: list[tuple[Any, str]] = [
    (with_batch_norm, "BatchNorm2d, which may look across the batch"),
    (hooked, "hooks, which would see other batches"),
    (subclass, "Own"),
]


@pytest.mark.parametrize(("make", "got"), DECLINED)
def test_declines(make: Any, got: str) -> None:
    message = (
        f"stacked halves, stage: got {got}; expected a Stage1 that treats each .*; export a network with split none"
    )
    with pytest.raises(RewriteDeclined, match=message):
        stack_halves(make())
