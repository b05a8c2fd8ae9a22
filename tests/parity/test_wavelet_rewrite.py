"""The rung of the wavelet rewrite goes red for each planted fault."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from fundusrt_export.parity import ParityInputs, wavelet_rewrite
from fundusrt_export.rewrite.filters import FilterBank
from fundusrt_training.models.wavelet import HaarDown, HaarUp
from tests.parity.small_ladder import failing

KERNEL_FAULTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "reversed filters": lambda kernel: kernel.flip(2, 3),
    "factor 2 missing in LL": lambda kernel: torch.cat([kernel[:1] / 2, kernel[1:]]),
    "swapped bands": lambda kernel: kernel[[0, 2, 1, 3]],
    "one tap off by 1e-3": lambda kernel: (
        kernel * (1 + 1e-3 * (torch.arange(kernel.numel()) == 5).reshape(kernel.shape))
    ),
}


@pytest.mark.parametrize("fault", KERNEL_FAULTS)
def test_rewrite_rung_finds_a_wrong_kernel(fault: str, originals: Any, rewritten: Any, inputs: ParityInputs) -> None:
    planted = copy.deepcopy(rewritten["small"]["convolution"])
    bank = next(module for module in planted.modules() if isinstance(module, FilterBank))
    bank.kernel = KERNEL_FAULTS[fault](bank.kernel)
    rung = wavelet_rewrite(
        {"small": originals["small"]},
        {"small": {"convolution": planted, "identity": rewritten["small"]["identity"]}},
        inputs,
    )
    assert "small, convolution: wavelet steps alone" in failing(rung)
    assert not any("identity" in metric for metric in failing(rung))


class HalfDown(HaarDown):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return tuple(band / 2 for band in super().forward(x))  # type: ignore[return-value]


class NegativeUp(HaarUp):
    def forward(self, low: torch.Tensor, highs: torch.Tensor | None, skip: torch.Tensor) -> torch.Tensor:
        return 2 * skip - super().forward(low, highs, skip)


@pytest.mark.parametrize("fault", [("down", HalfDown), ("up", NegativeUp)])
def test_rewrite_rung_finds_a_wrong_identity(
    fault: tuple[str, type[nn.Module]], originals: Any, rewritten: Any, inputs: ParityInputs
) -> None:
    planted = copy.deepcopy(rewritten["small"]["identity"])
    setattr(planted, fault[0], fault[1]())
    rung = wavelet_rewrite({"small": originals["small"]}, {"small": {"identity": planted}}, inputs)
    assert failing(rung) == [
        "small, identity: wavelet steps alone",
        "small, identity: max |logit difference| / logit range",
    ]


def test_rewrite_rung_does_not_pass_nan(originals: Any, rewritten: Any, inputs: ParityInputs) -> None:
    planted = copy.deepcopy(rewritten["small"]["identity"])
    with torch.no_grad():
        planted.head.bias.fill_(math.nan)
    rung = wavelet_rewrite({"small": originals["small"]}, {"small": {"identity": planted}}, inputs)
    assert failing(rung) == ["small, identity: max |logit difference| / logit range"]
