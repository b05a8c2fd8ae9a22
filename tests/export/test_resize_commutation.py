"""SS-MAF's up-step with its 1x1 convolution before the resize: equal, cheaper, or declined by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fundusrt_export.errors import RewriteDeclined, RewriteMismatch
from fundusrt_export.rewrite.batch_norm import fold_batch_norms
from fundusrt_export.rewrite.resize_commutation import CommutedUpStep, commute_resizes
from fundusrt_training.models.ss_maf import UpStep
from tests.export.test_batch_norm import lively
from tests.export.wavelet_cases import distance, noise


class OneStep(nn.Module):
    """A decoder of one step, so that the step has a name."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.step = UpStep(channels)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return self.step(x, skip)


def pair(height: int, width: int, channels: int = 3, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    return noise(2, 2 * channels, height, width, dtype=dtype), noise(
        2, channels, 2 * height, 2 * width, seed=1, dtype=dtype
    )


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("size", [(4, 6), (1, 1), (1, 5), (7, 3)])
def test_equal_to_the_original_order(size: tuple[int, int], folded: bool) -> None:
    original = lively(OneStep().double())
    before = fold_batch_norms(original) if folded else original
    made = commute_resizes(before, example=pair(*size))
    x, skip = pair(*size)
    # a few dozen products and weighted means of values of order 10
    assert distance(original(x, skip).detach(), made(x, skip).detach()) <= 1e-12
    assert type(made.step) is CommutedUpStep
    assert list(made.state_dict()) == list(before.state_dict())
    assert type(before.step) is UpStep


def test_the_1x1_convolution_has_a_quarter_of_the_work() -> None:
    step, (x, skip) = lively(OneStep()), pair(8, 8, dtype=torch.float32)

    def work(model: nn.Module) -> int:
        with FlopCounterMode(display=False) as counter:
            model(x, skip)
        return counter.get_total_flops()

    one_by_one = 2 * 2 * (6 * 3) * (16 * 16)  # multiply and add, two images, 6 to 3 channels at the skip's size
    assert work(step) - work(commute_resizes(step)) == one_by_one * 3 // 4


def changed(**parts: nn.Module) -> nn.Module:
    step = lively(OneStep())
    for index, part in parts.items():
        step.step.reduce[int(index[1:])] = part.eval()
    return step


def in_training() -> nn.Module:
    return OneStep().train()


def hooked() -> nn.Module:
    step = OneStep().eval()
    step.step.reduce[2].register_forward_hook(lambda *_: None)
    return step


class Own(UpStep):
    pass


def subclass() -> nn.Module:
    step = OneStep()
    step.step = Own(3)
    return step.eval()


DECLINED: list[tuple[Any, str]] = [
    (lambda: changed(_0=nn.Conv2d(6, 3, 3, padding=1)), "a convolution of kernel, stride, padding"),
    (lambda: changed(_0=nn.Conv2d(6, 3, 1, stride=2)), "a convolution of kernel, stride, padding"),
    (lambda: changed(_0=nn.Conv2d(6, 3, 1, padding=1)), "a convolution of kernel, stride, padding"),
    (lambda: changed(_1=nn.GroupNorm(1, 3)), "GroupNorm"),
    (lambda: changed(_1=nn.BatchNorm2d(3, track_running_stats=False)), "a normalisation in training mode"),
    (lambda: changed(_2=nn.Tanh()), "Tanh"),
    (in_training, "a normalisation in training mode"),
    (hooked, "hooks, which would be lost"),
    (subclass, "Own"),
]


@pytest.mark.parametrize(("make", "got"), DECLINED)
def test_declines(make: Any, got: str) -> None:
    message = f"resize commutation, step: got {got}.*; expected an UpStep of a 1x1 convolution.*; export without this"
    with pytest.raises(RewriteDeclined, match=message):
        commute_resizes(make())


def test_a_kernel_of_3_really_does_not_commute() -> None:
    """Why the condition is there."""
    conv, x = nn.Conv2d(2, 2, 3, padding=1).double(), noise(1, 2, 4, 4)
    after = conv(F.interpolate(x, (8, 8), mode="bilinear", align_corners=True))
    before = F.interpolate(conv(x), (8, 8), mode="bilinear", align_corners=True)
    assert distance(after.detach(), before.detach()) > 1e-2


def test_the_proof_finds_a_relu_before_the_resize(monkeypatch: pytest.MonkeyPatch) -> None:
    def early(self: CommutedUpStep, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(self.reduce(x), skip.shape[-2:], mode="bilinear", align_corners=True)
        return self.convs(torch.cat((x, skip), dim=1))

    monkeypatch.setattr(CommutedUpStep, "forward", early)
    with pytest.raises(RewriteMismatch, match="step: output 0"):
        commute_resizes(lively(OneStep()), example=pair(4, 4, dtype=torch.float32))
