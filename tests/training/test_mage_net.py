"""MAGE-Net and AG-Net: parameter counts, ablations, halves, what reaches the output, refused input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.models.ag_net import AgNet, AgNetConfig
from fundusrt_training.models.channel_attention import CAB, ChannelAttention
from fundusrt_training.models.mage_net import SAM, MageConfig, MageNet

RSP = AgNetConfig(base=4, gn_groups=4)
SMALL: dict[str, Any] = {"n": 8, "u": 4, "o": 4, "num_cab": 1, "rsp": RSP}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("fields", "expected"), [({}, 12_088_480), ({"num_cab": 4}, 11_392_288)])
def test_parameter_counts(fields: dict[str, Any], expected: int) -> None:
    with torch.device("meta"):
        network = MageNet(MageConfig(**fields))
    assert count(network) == expected
    assert isinstance(network.rsp, AgNet)
    assert count(network.rsp) == 9_335_340
    assert count(network.rsp.heads) == 968


ABLATIONS: list[dict[str, Any]] = [
    {},
    {"stages": 1},
    {"use_rsp": False},
    {"split": "width"},
    {"split": "none"},
    {"prelu_shared": False},
    {"cab_attention": False},
    {"fab_filter": "conv1_prelu"},
]


@pytest.mark.parametrize("fields", ABLATIONS, ids=str)
def test_every_ablation_trains_all_its_weights(fields: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = MageNet(MageConfig(**(SMALL | fields)))
    x = torch.rand(1, 3, 96, 112)
    stages, maps = network(x)
    two, structure = fields.get("stages") != 1, fields.get("use_rsp", True) and fields.get("stages") != 1
    assert [tuple(image.shape) for image in stages] == [(1, 3, 96, 112)] * (2 if two else 1)
    assert [tuple(logits.shape) for logits in maps] == [(1, 2, 96, 112)] * (5 if structure else 0)
    sum(each.square().mean() for each in (*stages, *maps[:4])).backward()  # pyright: ignore
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == (
        # without stage 2, nothing reads the features that SAM passes on
        ["sam.features.weight", "sam.mask.weight"] if not two else []
    )


@pytest.mark.parametrize(("split", "dim"), [("height", 2), ("width", 3)])
def test_the_encoder_sees_each_half_alone(split: Any, dim: int) -> None:
    torch.manual_seed(0)
    stage = MageNet(MageConfig(**(SMALL | {"split": split}))).stage1
    x = torch.rand(1, 3, 96, 96)
    other = x.clone()
    other.narrow(dim, 48, 48).fill_(0.0)
    for scale, (a, b) in enumerate(zip(stage(x)[0], stage(other)[0], strict=True)):
        half = 48 >> scale
        torch.testing.assert_close(a.narrow(dim, 0, half), b.narrow(dim, 0, half), rtol=0, atol=0)
        assert not torch.equal(a.narrow(dim, half, half), b.narrow(dim, half, half))


def test_structure_reaches_the_output_but_not_its_heads() -> None:
    torch.manual_seed(0)
    network = MageNet(MageConfig(**SMALL))
    assert isinstance(network.rsp, AgNet)
    network(torch.rand(1, 3, 96, 96)).stages[1].sum().backward()
    reached = {name.split(".")[0] for name, p in network.rsp.named_parameters() if p.grad is not None}
    assert reached == {"side", "encoder", "centre", "decoder"}


def test_sam() -> None:
    torch.manual_seed(0)
    sam, x, image = SAM(8), torch.rand(1, 8, 5, 6), torch.rand(1, 3, 5, 6)
    out, stage_image = sam(x, image)
    torch.testing.assert_close(stage_image, sam.to_image(x) + image, rtol=0, atol=0)
    nn.init.zeros_(sam.mask.weight)
    torch.testing.assert_close(sam(x, image)[0], 0.5 * sam.features(x) + x, rtol=0, atol=1e-6)
    assert out.shape == x.shape


def test_channel_attention_weighs_whole_channels() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 8, 4, 4) + 1.0
    weights = (ChannelAttention(8)(x) / x).detach()
    torch.testing.assert_close(weights, weights[:, :, :1, :1].expand_as(weights), rtol=1e-5, atol=0)
    assert 0.0 < float(weights.min()) < float(weights.max()) < 1.0


def test_a_shared_prelu_is_one_parameter() -> None:
    act = nn.PReLU()
    first, second = CAB(4, act), CAB(4, act)
    assert first.act is second.act
    assert CAB(4).act is not CAB(4).act


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(0)
    network = MageNet(MageConfig(**SMALL)).double().eval()
    x = torch.rand(2, 3, 96, 96).double()
    torch.testing.assert_close(network(x).stages[1][1:], network(x[1:]).stages[1], rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", [(1, 3, 80, 96), (1, 3, 96, 100), (1, 1, 96, 96), (3, 96, 96)])
def test_refused_input(shape: tuple[int, ...]) -> None:
    expected = r"expected \(N, 3, H, W\) with H and W multiples of 16, at least 96; pad the images by reflection"
    for network, subject in ((MageNet(MageConfig(**SMALL)), "MAGE-Net input"), (AgNet(RSP), "AG-Net input")):
        with pytest.raises(InvalidInput, match=f"{subject}: got shape .*{expected}"):
            network(torch.zeros(shape))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MageConfig(n=2), "net.n: got 2"),
        (lambda: MageConfig(split="rows"), "net.split: got 'rows'"),  # pyright: ignore
        (lambda: MageConfig(stages=3), "net.stages: got 3; expected 1 or 2"),  # pyright: ignore
        (lambda: AgNetConfig(base=20), "AG-Net base: got 20 channels with gn_groups 32"),
        (lambda: AgNetConfig(classes=1), "AG-Net classes: got 1"),
    ],
)
def test_refused_configuration(make: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        make()
