"""SS-MAF: the authors' parameter counts, every stream, what each head sees, refused input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.models.ss_maf import (
    MultiAttentionFusion,
    SplitSpatialConv,
    SsMaf,
    SsMafConfig,
    SsMafOutputs,
)

SMALL: dict[str, Any] = {"base": 4, "d": 8}


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_parameter_counts() -> None:
    with torch.device("meta"):
        network = SsMaf()
    assert count(network) == 39_186_602
    assert count(network.encoder, network.seg_decoder, network.seg_head) == 28_949_698
    assert count(network.maf) == 10_216
    assert count(network.sr_head) == 124_288


def test_shapes_of_the_paper() -> None:
    with torch.device("meta"):
        outputs = SsMaf()(torch.empty(2, 3, 480, 720))
    assert [tuple(each.shape) for each in outputs] == [(2, 2, 960, 1440), (2, 3, 960, 1440)] * 2


@pytest.mark.parametrize(
    ("stream", "present", "scale"),
    [
        ("unet", (True, False, False, False), 1),
        ("unet_interp", (True, False, False, False), 2),
        ("unet_interp_sr", (True, True, False, False), 2),
        ("full", (True, True, True, True), 2),
    ],
)
def test_streams(stream: Any, present: tuple[bool, ...], scale: int) -> None:
    torch.manual_seed(0)
    network = SsMaf(SsMafConfig(stream=stream, **SMALL))
    outputs = network(torch.rand(2, 3, 32, 48) * 2 - 1)
    assert isinstance(outputs, SsMafOutputs)
    assert tuple(each is not None for each in outputs) == present
    assert all(each.shape[2:] == (32 * scale, 48 * scale) for each in outputs if each is not None)
    sum(each.square().sum() for each in outputs if each is not None).backward()  # pyright: ignore
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


def test_streams_without_their_parts_hold_no_weights_of_them() -> None:
    names = {name.split(".")[0] for name, _ in SsMaf(SsMafConfig(stream="unet_interp", **SMALL)).named_parameters()}
    assert names == {"encoder", "seg_decoder", "seg_head"}


def test_evaluation_returns_the_segmentation_alone() -> None:
    torch.manual_seed(0)
    network = SsMaf(SsMafConfig(**SMALL)).eval()
    x = torch.rand(1, 3, 32, 32)
    logits = network(x)
    features = network.seg_decoder(network.encoder(x))
    expected = F.interpolate(network.seg_head.conv(features), scale_factor=2, mode="bilinear", align_corners=True)
    torch.testing.assert_close(logits, expected, rtol=0, atol=0)


def test_a_decoder_step_resizes_with_aligned_corners() -> None:
    step = SsMaf(SsMafConfig(**SMALL)).eval().seg_decoder.steps[3]
    step.convs, step.reduce = nn.Identity(), nn.Identity()
    ramp = torch.arange(3.0).expand(1, 8, 3, 3)
    out = step(ramp, torch.zeros(1, 4, 5, 5))
    torch.testing.assert_close(out[0, 0, 0], torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]), rtol=0, atol=0)


def test_fusion_weighs_and_adds() -> None:
    """F' = W F + F with W in (0, 1): with the last convolution zeroed, W is 1/2 everywhere."""
    maf = MultiAttentionFusion(SsMafConfig(**SMALL)).eval()
    for conv in (maf.weigh_sr, maf.weigh_seg):
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)  # pyright: ignore
    f_sr, f_seg = torch.rand(1, 4, 6, 7), torch.rand(1, 4, 6, 7)
    fused_sr, fused_seg = maf(f_sr, f_seg)
    torch.testing.assert_close(fused_sr, 1.5 * f_sr, rtol=0, atol=0)
    torch.testing.assert_close(fused_seg, 1.5 * f_seg, rtol=0, atol=0)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_split_spatial_convolution(residual: bool, relu: bool) -> None:
    """Group g sees its own channels alone, at dilation g - 1; the first sees one position."""
    torch.manual_seed(0)
    ssc = SplitSpatialConv(SsMafConfig(d=8, k=4, residual=residual, relu=relu)).eval()
    at = torch.zeros(1, 8, 15, 15)
    base = ssc(at)
    for channel in range(8):
        x = at.clone()
        x[0, channel, 7, 7] = 1.0
        changed = (ssc(x) - base)[0].abs() > 0 if not relu else (ssc(x) != base)[0]
        group = channel // 2
        reach = 0 if group == 0 else group
        rows = {int(y) - 7 for y in changed.any(dim=2).any(dim=0).nonzero()}
        assert rows <= ({0} if group == 0 else {-reach, 0, reach})
        assert {int(c) // 2 for c in changed.any(dim=2).any(dim=1).nonzero()} <= {group}
    assert bool((base >= 0).all()) or not relu
    x = torch.rand(1, 8, 5, 5) + 10.0
    plain = SplitSpatialConv(SsMafConfig(d=8, k=4, residual=False, relu=False)).eval()
    plain.load_state_dict(ssc.state_dict())
    expected = plain(x) + (x if residual else 0.0)
    torch.testing.assert_close(ssc(x), expected.relu() if relu else expected, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(1, 3, 40, 32), (1, 1, 32, 32), (3, 32, 32), (1, 3, 0, 16)])
def test_refused_input(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        InvalidInput, match=r"SS-MAF input: got shape .* expected \(N, 3, H, W\) with H and W multiples"
    ):
        SsMaf(SsMafConfig(**SMALL))(torch.zeros(shape))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"base": 1}, "net.base: got 1"),
        ({"classes": 1}, "net.classes: got 1"),
        ({"stream": "sr"}, "net.stream: got 'sr'"),
        ({"pool": 4}, "net.pool: got 4"),
        ({"d": 30}, "net.d: got 30 channels in 4 groups"),
        ({"prior": 0.0}, "net.prior: got 0.0; expected a share between 0 and 1"),
        ({"prior": float("nan")}, "net.prior: got nan"),
    ],
)
def test_refused_configuration(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        SsMafConfig(**fields)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_head_that_sees_nothing_answers_the_prior(classes: int) -> None:
    network = SsMaf(SsMafConfig(classes=classes, prior=0.01, **SMALL))
    with torch.no_grad():
        logits = network.seg_head(torch.zeros(1, 4, 2, 2))[0, :, 0, 0]
    p = torch.softmax(logits, dim=0)
    torch.testing.assert_close(p[0], torch.tensor(0.99))
    torch.testing.assert_close(p[1:], torch.full((classes - 1,), 0.01 / (classes - 1)))
    assert logits[0] == -logits[1]


@pytest.mark.parametrize("pool", [2, 3])
def test_both_poolings_halve_even_sizes(pool: Any) -> None:
    network = SsMaf(SsMafConfig(pool=pool, **SMALL))
    assert [tuple(f.shape[2:]) for f in network.encoder(torch.zeros(1, 3, 48, 32))][-1] == (3, 2)
