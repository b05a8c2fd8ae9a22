"""UNet-Wavelet: parameter counts of the paper's network, every option, equal forms, refused input."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.models.planar_norm import PlanarGroupNorm, use_planar_norm
from fundusrt_training.models.unet import UNet
from fundusrt_training.models.unet_wavelet import UNetWavelet, UNetWaveletConfig
from tests.tolerances import NETWORK_FORMS_FLOAT64
from tests.training.test_wavelet import exact_haar, noise

SMALL = UNetWaveletConfig(base=8, levels=2)


def count(**fields: Any) -> int:
    with torch.device("meta"):
        network = UNetWavelet(UNetWaveletConfig(**fields))
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, 25_815_233), ({"skip": "concat"}, 28_948_673), ({"in_channels": 1}, 25_814_081)],
)
def test_parameter_counts(fields: dict[str, Any], expected: int) -> None:
    assert count(**fields) == expected
    assert count(**fields, wavelet_form="haar_identity") == expected


def test_doubling_stops_at_max_channels() -> None:
    fields: dict[str, Any] = {"base": 8, "levels": 6, "wavelet_form": "haar_identity"}
    config = UNetWaveletConfig(max_channels=96, **fields)
    assert config.widths == [8, 16, 32, 64, 96, 96, 96]
    assert config.divisor == 64
    assert UNetWaveletConfig(**fields).widths == [8, 16, 32, 64, 128, 256, 512]
    assert [block.align.in_channels for block in UNetWavelet(config).decoder] == [96, 96, 96, 64, 32, 16]
    assert [block.align.out_channels for block in UNetWavelet(config).decoder] == [96, 96, 64, 32, 16, 8]


@pytest.mark.parametrize("network", [UNetWavelet, UNet])
def test_a_capped_network_trains_all_its_weights(network: Any) -> None:
    torch.manual_seed(0)
    model = network(UNetWaveletConfig(base=8, levels=4, max_channels=16))
    logits = model(torch.rand(1, 3, 32, 16))
    assert logits.shape == (1, 1, 32, 16)
    logits.square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_a_cap_works_with_every_combination() -> None:
    for fields in (c for c in COMBINATIONS if valid(c)):
        network = UNetWavelet(dataclasses.replace(SMALL, levels=3, max_channels=16, **fields))  # pyright: ignore
        assert network(torch.rand(1, 3, 8, 8)).shape == (1, 1, 8, 8)


def valid(fields: dict[str, str]) -> bool:
    if fields["align_conv"] == "split":
        return fields["highs"] == "predicted"
    return not (fields["align_conv"] == "post_conv" and fields["highs"] == "encoder")


CHOICES = {
    "highs": ("encoder", "zero", "predicted"),
    "skip": ("add", "concat"),
    "align_conv": ("pre_1x1", "post_conv", "split"),
    "norm_placement": ("per_conv", "block_end"),
}
COMBINATIONS = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]


@pytest.mark.parametrize("fields", [c for c in COMBINATIONS if valid(c)], ids=lambda c: "-".join(c.values()))
def test_every_combination_trains_all_its_weights(fields: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = UNetWavelet(dataclasses.replace(SMALL, **fields))
    logits = network(torch.rand(1, 3, 16, 24))
    assert logits.shape == (1, 1, 16, 24)
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("fields", [c for c in COMBINATIONS if not valid(c)], ids=lambda c: "-".join(c.values()))
def test_impossible_combinations_are_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(
        UsageError, match=rf"unet\.align_conv {fields['align_conv']}: got unet\.highs {fields['highs']}"
    ):
        dataclasses.replace(SMALL, **fields)


def test_options_change_the_function() -> None:
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    results: list[Tensor] = []
    for fields in ({}, {"highs": "zero"}, {"norm_placement": "block_end"}, {"wave": "db2"}, {"gn_groups": 4}):
        torch.manual_seed(0)
        results.append(UNetWavelet(dataclasses.replace(SMALL, **fields))(x))
    for a, b in itertools.combinations(results, 2):
        assert (a - b).abs().max() > 1e-4


@pytest.mark.parametrize("align", ["crop", "interpolate"])
@pytest.mark.parametrize("mode", ["zero", "symmetric", "reflect", "periodization", "periodic"])
def test_longer_wavelets_keep_the_size(mode: str, align: Any) -> None:
    # db2 turns 16 into 9 and 6: sizes that the inverse overshoots by one
    network = UNetWavelet(dataclasses.replace(SMALL, wave="db2", dwt_mode=mode, size_align=align))
    assert network(torch.rand(1, 3, 16, 32)).shape == (1, 1, 16, 32)


@pytest.mark.parametrize("highs", ["encoder", "zero"])
@pytest.mark.parametrize("skip", ["add", "concat"])
def test_both_forms_are_one_function_with_one_gradient(highs: Any, skip: Any) -> None:
    config = UNetWaveletConfig(base=8, levels=3, highs=highs, skip=skip)
    torch.manual_seed(0)
    library = exact_haar(UNetWavelet(config))
    identity = UNetWavelet(dataclasses.replace(config, wavelet_form="haar_identity")).double()
    identity.load_state_dict(library.state_dict())
    x, cotangent = noise(2, 3, 24, 40), noise(2, 1, 24, 40, seed=1)
    outcome: list[list[Tensor]] = []
    for network in (library, identity):
        at = x.clone().requires_grad_()
        logits = network(at)
        gradients = torch.autograd.grad(logits, (at, *network.parameters()), cotangent)
        outcome.append([logits, *gradients])
    for ours, theirs in zip(*outcome, strict=True):
        scale = max(1.0, float(theirs.detach().abs().max()))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=NETWORK_FORMS_FLOAT64 * scale)


def test_the_shared_wavelet_pair_is_registered_once() -> None:
    network = UNetWavelet(SMALL)
    kinds = [type(module).__name__ for module in network.modules()]
    assert kinds.count("DWTForward") == kinds.count("DWTInverse") == 1
    assert network.dwt is network.down.dwt
    assert network.idwt is network.up.idwt

    class Zero(nn.Module):
        def forward(self, coefficients: tuple[Tensor, list[Tensor]]) -> Tensor:
            low = coefficients[0]
            return low.new_zeros(*low.shape[:2], 2 * low.shape[2], 2 * low.shape[3])

    x = torch.rand(1, 3, 16, 16)
    before = network(x)
    network.up.idwt = Zero()
    assert (network(x) - before).abs().max() > 0, "a replaced module must be the one that runs"


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_planar_norm_is_group_norm(memory_format: Any) -> None:
    torch.manual_seed(0)
    network = UNetWavelet(dataclasses.replace(SMALL, wavelet_form="haar_identity"))
    names = list(network.state_dict())
    x = torch.rand(1, 3, 16, 16).contiguous(memory_format=memory_format)
    plain = network(x)
    use_planar_norm(network)
    assert list(network.state_dict()) == names
    assert sum(isinstance(m, PlanarGroupNorm) for m in network.modules()) == 10
    assert torch.equal(network(x), plain), "float32 takes the ordinary way"
    norm, reference = PlanarGroupNorm(4, 8), nn.GroupNorm(4, 8)
    half = torch.randn(2, 8, 6, 6).bfloat16().contiguous(memory_format=memory_format)
    with torch.autocast("cpu", torch.bfloat16):
        ours = norm(half)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    # bfloat16 keeps 8 bits: one rounding of values below 4
    torch.testing.assert_close(ours.float(), reference(half.float()), rtol=0, atol=4 * 2.0**-8)


def test_sizes_are_checked_at_the_door() -> None:
    network = UNetWavelet(UNetWaveletConfig(base=8))
    with pytest.raises(
        InvalidInput, match=r"got 500 x 512 px; expected height and width multiples of 16 \(2\^4\); pad to 512 x 512"
    ):
        network(torch.zeros(1, 3, 500, 512))
    with pytest.raises(InvalidInput, match=r"got shape \(1, 1, 32, 32\); expected \(N, 3, H, W\)"):
        network(torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"base": 12},
            r"unet\.base: got 12 channels with unet\.gn_groups 8; expected a multiple of .*; try unet\.base 16",
        ),
        ({"gn_groups": 1}, r"unet\.gn_groups: got 1; expected at least 2"),
        ({"levels": 0}, r"unet\.levels: got 0; expected at least 1"),
        (
            {"max_channels": 32},
            r"unet\.max_channels: got 32; expected a multiple of unet.gn_groups 8, at least unet.base",
        ),
        ({"max_channels": 100}, r"unet\.max_channels: got 100"),
        ({"highs": "all"}, r"unet\.highs: got 'all'; expected encoder, zero, predicted"),
        (
            {"wavelet_form": "haar_identity", "wave": "db2"},
            r"haar_identity: got unet\.wave db2; expected unet\.wave haar",
        ),
        ({"wavelet_form": "haar_identity", "highs": "predicted"}, r"haar_identity: got unet\.highs predicted"),
        ({"wave": "nope"}, r"unet\.wave: got 'nope'"),
    ],
)
def test_bad_fields_are_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        UNetWaveletConfig(**fields)


def test_db1_is_haar() -> None:
    assert UNetWaveletConfig(wave="db1", wavelet_form="haar_identity").wave == "db1"
