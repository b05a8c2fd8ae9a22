"""A trained network deepened: the old stages keep their weights, the new ones hardly change what it says."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from fundusrt_training.models.deepen import can_deepen, deepened
from fundusrt_training.models.unet_wavelet import UNetWavelet, UNetWaveletConfig
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

BEFORE = UNetWaveletConfig(base=8, levels=2, wavelet_form="haar_identity")
NOW = dataclasses.replace(BEFORE, levels=4, max_channels=32)


def grown() -> tuple[UNetWavelet, UNetWavelet]:
    torch.manual_seed(0)
    old, new = UNetWavelet(BEFORE), UNetWavelet(NOW)
    new.load_state_dict(deepened(old.state_dict(), BEFORE, new.state_dict(), NOW))
    return old, new


def test_old_stages_keep_their_weights() -> None:
    old, new = grown()
    pairs = [*zip(old.encoder, new.encoder, strict=False), *zip(old.decoder, list(new.decoder)[2:], strict=True)]
    pairs.append((old.head, new.head))
    assert len(pairs) == 3 + 2 + 1
    for mine, its in pairs:
        for a, b in zip(mine.parameters(), its.parameters(), strict=True):
            assert torch.equal(a, b)


def test_it_says_nearly_the_same() -> None:
    """Against chance: the deepened network's logits follow the old one's, those of a fresh deep one do not."""
    old, new = grown()
    fresh = UNetWavelet(NOW)
    x = torch.nn.functional.interpolate(torch.rand(2, 3, 16, 16), 64, mode="bilinear")

    def likeness(network: UNetWavelet) -> float:
        with torch.no_grad():
            return float(torch.corrcoef(torch.stack([old(x).flatten(), network(x).flatten()]))[0, 1])

    assert likeness(new) > 0.95
    assert likeness(fresh) < 0.8


def test_every_new_stage_learns() -> None:
    _, new = grown()
    optimizer = torch.optim.SGD(new.parameters(), lr=0.1)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    for _ in range(3):  # from the finest on, each new stage waits for the 1x1 convolution above it to leave 0
        optimizer.zero_grad()
        new(torch.rand(1, 3, 32, 32)).square().sum().backward()
        optimizer.step()
    still = [name for name, value in new.state_dict().items() if torch.equal(value, before[name])]
    assert still == []


@pytest.mark.parametrize(
    ("fields", "possible"),
    [
        ({}, True),
        ({"levels": 3, "max_channels": None}, True),
        ({"levels": 2}, False),
        ({"levels": 1}, False),
        ({"max_channels": 16}, False),
        ({"base": 16}, False),
        ({"skip": "concat"}, False),
        ({"in_channels": 1}, False),
    ],
    ids=str,
)
def test_what_can_be_deepened(fields: dict[str, Any], possible: bool) -> None:
    assert can_deepen(BEFORE, dataclasses.replace(NOW, **fields)) is possible


def test_a_run_begins_with_shallower_branches(tiny_config: Any) -> None:
    before: CmwnetConfig = tiny_config("mode=crop", "run.seed=7")
    module = CmwnetModule(tiny_config("unet.levels=3"))
    own = {name: value.clone() for name, value in module.weights().items()}
    trained = CmwnetModule(before)
    module.start_from(trained.weights(), before)

    def equal(name: str, value: Tensor) -> bool:
        return torch.equal(module.weights()[name], value)

    assert equal("small.encoder.0.0.weight", trained.weights()["small.encoder.0.0.weight"])
    assert equal("small.decoder.1.align.weight", trained.weights()["small.decoder.0.align.weight"])
    assert not module.weights()["small.decoder.0.align.weight"].any()
    assert all(equal(name, value) for name, value in own.items() if name.startswith("large."))
