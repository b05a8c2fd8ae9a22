"""Both forms of group normalisation: equal to PyTorch's, and accurate where one long sum is not."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fundusrt.backends.openvino import OpenVinoSession
from fundusrt_export.deployed_network import DeployedNetwork
from fundusrt_export.errors import RewriteDeclined
from fundusrt_export.onnx_trace import INPUT, to_onnx
from fundusrt_export.rewrite.channel_group_norm import ChannelGroupNorm
from fundusrt_export.rewrite.group_norm import TwoPassGroupNorm, rewrite_group_norms
from tests.export.wavelet_cases import distance, noise

FORMS = (TwoPassGroupNorm, ChannelGroupNorm)


@given(
    groups=st.integers(1, 4),
    per_group=st.integers(1, 3),
    height=st.integers(2, 9),
    width=st.integers(1, 9),
    batch=st.integers(1, 3),
    affine=st.booleans(),
    offset=st.sampled_from([0.0, 3.0, -100.0]),
    form=st.sampled_from(FORMS),
)
def test_equal_to_pytorch(
    groups: int,
    per_group: int,
    height: int,
    width: int,
    batch: int,
    affine: bool,
    offset: float,
    form: type[TwoPassGroupNorm],
) -> None:
    torch.manual_seed(0)
    original = nn.GroupNorm(groups, groups * per_group, affine=affine).double()
    if affine:
        nn.init.normal_(original.weight)
        nn.init.normal_(original.bias)
    x = noise(batch, groups * per_group, height, width) + offset
    # x - mean cancels `offset`: its rounding, 100 * 2**-53, grows by 1/sqrt(eps) = 300
    assert distance(original(x).detach(), rewrite_group_norms(original, form=form)(x).detach()) <= 1e-11


@pytest.mark.parametrize("form", FORMS)
def test_flat_areas_keep_their_accuracy(form: type[TwoPassGroupNorm]) -> None:
    """Half the plane constant and far from 0: float32 against float64, where E[x^2] - mean^2 loses everything."""
    x = noise(1, 2, 256, 256)
    x[:, :, 100:] = 0.0
    x = (x + 300.0).float()
    original = nn.GroupNorm(1, 2)
    truth = original.double()(x.double()).detach()
    made = rewrite_group_norms(original.float(), form=form)(x).detach()
    # one rounding of x - mean: 300 * 2**-24 = 2e-5 over the spread 0.6
    assert distance(truth, made) <= 1e-4
    naive = x.square().mean() - x.mean().square()
    assert abs(float(naive) - float(x.double().var(correction=0))) > 1e-3


def test_openvino_adds_up_rows_not_planes() -> None:
    """Behind a convolution, in the plugin's own layout, it joins two means into one long sum, if nothing is between."""
    torch.manual_seed(0)
    side = 256
    network = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(8, 8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
    x = noise(1, 8, side, side, dtype=torch.float32).abs()
    x[:, :, side // 8 :] = 0.0
    truth = copy.deepcopy(network).double()(x.double()).detach().numpy()
    made = rewrite_group_norms(network.eval(), form=ChannelGroupNorm)
    content = to_onnx(DeployedNetwork(made), (8, side, side), "answer")
    answer = OpenVinoSession(content, source="test", threads=1).run({INPUT: x.numpy()})["answer"]
    assert np.abs(answer - truth).max() / np.abs(truth).max() <= 1.5e-6  # without the Squeeze: 4e-6


def test_openvino_knows_the_mean_of_a_flat_plane() -> None:
    """A mean that is 6e-7 off is 2e-4 off once it is divided by sqrt(eps), as on a black image."""
    torch.manual_seed(0)
    side = 256
    network = nn.Sequential(nn.Conv2d(8, 8, 1), nn.GroupNorm(8, 8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
    x = torch.full((1, 8, side, side), 0.7)
    truth = copy.deepcopy(network).double()(x.double()).detach().numpy()
    made = rewrite_group_norms(network.eval(), form=ChannelGroupNorm)
    content = to_onnx(DeployedNetwork(made), (8, side, side), "answer")
    answer = OpenVinoSession(content, source="test", threads=1).run({INPUT: x.numpy()})["answer"]
    assert np.abs(answer - truth).max() <= 1e-6  # without the mean of what the mean leaves: 2e-4


def test_replaces_every_one_and_keeps_names_and_sharing() -> None:
    shared = nn.GroupNorm(2, 4)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), shared, nn.ReLU(), shared).eval()
    made = rewrite_group_norms(model, example=noise(2, 3, 8, 8, dtype=torch.float32))
    assert type(made[1]) is TwoPassGroupNorm
    assert made[1] is made[3]
    assert made[1].weight is not shared.weight
    assert not made[1].training
    assert list(made.state_dict()) == list(model.state_dict())
    assert type(model[1]) is nn.GroupNorm


class Own(nn.GroupNorm):
    pass


def test_declines() -> None:
    with pytest.raises(RewriteDeclined, match=r"inner: got a subclass of GroupNorm"):
        rewrite_group_norms(nn.ModuleDict({"inner": Own(1, 1)}))
    with pytest.raises(ValueError, match=r"group normalisation: got \(1, 3, 5\); expected \(N, 3, H, W\)"):
        rewrite_group_norms(nn.GroupNorm(1, 3))(torch.zeros(1, 3, 5))
    with pytest.raises(ValueError, match=r"got \(1, 4, 5, 5\); expected \(N, 3, H, W\)"):
        rewrite_group_norms(nn.GroupNorm(1, 3), form=ChannelGroupNorm)(torch.zeros(1, 4, 5, 5))
