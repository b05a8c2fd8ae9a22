"""Folded batch normalisations: equal to PyTorch, or declined by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fundusrt_export.errors import RewriteDeclined, RewriteMismatch
from fundusrt_export.rewrite import batch_norm
from fundusrt_export.rewrite.batch_norm import fold_batch_norms
from tests.export.wavelet_cases import distance, noise


def lively(model: nn.Module) -> nn.Module:
    """Running statistics and factors of a trained network, not 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and isinstance(module.running_mean, torch.Tensor):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.3)
            if module.affine:
                nn.init.uniform_(module.weight, -1.5, 1.5)
                nn.init.uniform_(module.bias, -1.0, 1.0)
    return model.eval()


@given(
    channels=st.integers(1, 4), out=st.integers(1, 4), kernel=st.sampled_from([1, 3]), bias=st.booleans(),
    affine=st.booleans(), stride=st.integers(1, 2), dilation=st.integers(1, 2),
)  # fmt: skip
def test_equal_to_pytorch(
    channels: int, out: int, kernel: int, bias: bool, affine: bool, stride: int, dilation: int
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, dilation=dilation, bias=bias)
    original = lively(nn.Sequential(conv, nn.BatchNorm2d(out, affine=affine), nn.ReLU()).double())
    x = noise(2, channels, 9, 8)
    made = fold_batch_norms(original)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in made.modules())
    # sums of at most 36 products of order 1, divided by deviations of at least 0.5
    assert distance(original(x).detach(), made(x).detach()) <= 1e-13


def test_folds_at_any_depth_keeps_names_and_leaves_the_original_alone() -> None:
    block = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    model = lively(nn.ModuleDict({"deep": nn.Sequential(block, nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)))}))
    made = fold_batch_norms(model)
    assert sorted(made.state_dict()) == ["deep.0.0.bias", "deep.0.0.weight", "deep.1.0.bias", "deep.1.0.weight"]
    assert type(model["deep"][0][1]) is nn.BatchNorm2d
    assert not any(module.training for module in made.modules())


def test_the_proof_runs_on_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    x = noise(1, 3, 8, 8, dtype=torch.float32)
    fold_batch_norms(model, example=x)

    def wrong(conv: Any, norm: Any) -> nn.Module:
        del norm
        return conv

    monkeypatch.setattr(batch_norm, "fuse_conv_bn_eval", wrong)
    with pytest.raises(RewriteMismatch, match="relative difference"):
        fold_batch_norms(model, example=x)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(3)
        self.one = nn.Sequential(nn.Conv2d(3, 3, 1), norm)
        self.two = nn.Sequential(nn.Conv2d(3, 3, 1), norm)


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).eval()
    model[1].register_forward_hook(lambda *_: None)
    return model


DECLINED: list[tuple[Any, str]] = [
    (lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), "1: got training mode"),
    (lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)).eval(), "no running stat"),
    (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)).eval(), "0: .*expected a BatchNorm2d in eval mode"),
    (lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)).eval(), "2: "),
    (lambda: nn.ModuleDict({"norm": nn.BatchNorm2d(3)}).eval(), "norm: "),
    (lambda: nn.Sequential(nn.ConvTranspose2d(3, 3, 1), nn.BatchNorm2d(3)).eval(), "1: "),
    (lambda: Shared().eval(), "one.1: "),
    (hooked, "1: got hooks on it"),
]


@pytest.mark.parametrize(("make", "message"), DECLINED)
def test_declines(make: Any, message: str) -> None:
    with pytest.raises(RewriteDeclined, match=message):
        fold_batch_norms(make())
