"""Widening keeps the function, for every shape of network, and lets the copies part."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from fundusrt.errors import UsageError
from fundusrt_training.checkpoints import save_checkpoint
from fundusrt_training.models.unet_wavelet import UNetWavelet, UNetWaveletConfig
from fundusrt_training.models.widen import widen, widening_factor
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

SMALL = UNetWaveletConfig(base=4, levels=2, gn_groups=2, wavelet_form="haar_identity")
SHAPES = {
    "default": SMALL,
    "concat": dataclasses.replace(SMALL, skip="concat"),
    "zero highs": dataclasses.replace(SMALL, highs="zero"),
    "align after": dataclasses.replace(SMALL, highs="zero", align_conv="post_conv"),
    "norm at block end": dataclasses.replace(SMALL, norm_placement="block_end"),
    "grey, library form": dataclasses.replace(SMALL, in_channels=1, wavelet_form="library", wave="db2"),
}


def _trained(config: UNetWaveletConfig, seed: int = 3) -> UNetWavelet:
    """A network in which no two channels, scales or biases are alike."""
    torch.manual_seed(seed)
    network = UNetWavelet(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network.double()


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("name", SHAPES)
def test_a_wide_network_computes_what_the_narrow_one_does(name: str, factor: int) -> None:
    narrow = _trained(SHAPES[name])
    wide = UNetWavelet(dataclasses.replace(SHAPES[name], base=4 * factor)).double()
    wide.load_state_dict(widen(narrow.state_dict(), factor, seed=0))
    images = torch.rand(2, SHAPES[name].in_channels, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        expected, got = narrow(images), wide(images)
    assert expected.std() > 1e-3
    assert torch.allclose(got, expected, rtol=0, atol=1e-11 * float(expected.abs().max()))


def test_copies_get_different_gradients() -> None:
    wide = UNetWavelet(dataclasses.replace(SMALL, base=8)).double()
    wide.load_state_dict(widen(_trained(SMALL).state_dict(), 2, seed=0))
    wide(torch.rand(1, 3, 32, 32, dtype=torch.float64)).square().sum().backward()
    for name, parameter in wide.named_parameters():
        if name.startswith("head"):
            continue
        assert parameter.grad is not None
        pairs = parameter.grad.reshape(-1, 2, *parameter.grad.shape[1:])
        assert not torch.allclose(pairs[:, 0], pairs[:, 1], rtol=1e-3, atol=0), name


def test_the_seed_decides_the_shares() -> None:
    state = _trained(SMALL).state_dict()
    same, other = widen(state, 2, seed=5), widen(state, 2, seed=6)
    assert all(torch.equal(a, b) for a, b in zip(widen(state, 2, seed=5).values(), same.values(), strict=True))
    assert not torch.equal(same["head.weight"], other["head.weight"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": 6}, "unet.base: got 6, the starting weights have 4; expected a multiple of 4"),
        ({"skip": "concat"}, "unet.skip: got 'concat', the starting weights have 'add'; expected the same network"),
        ({"levels": 3}, "unet.levels: got 3, the starting weights have 2; expected the same network"),
    ],
)
def test_another_network_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        widening_factor(SMALL, dataclasses.replace(SMALL, **changes))  # pyright: ignore
    assert message in str(caught.value)


def test_predicted_bands_cannot_be_widened() -> None:
    config = dataclasses.replace(SMALL, wavelet_form="library", highs="predicted")
    assert widening_factor(config, config) == 1
    with pytest.raises(UsageError, match="equal widths"):
        widening_factor(config, dataclasses.replace(config, base=8))


def _config(**changes: object) -> CmwnetConfig:
    return dataclasses.replace(CmwnetConfig(unet=SMALL), **changes)  # pyright: ignore


def test_a_run_begins_with_the_checkpoints_branches(tmp_path: Path) -> None:
    before = CmwnetModule(_config())
    wide = _config(unet=dataclasses.replace(SMALL, base=8))
    images = torch.rand(1, 3, 32, 32)
    for mode, branches in (("cmwnet", ("large", "small")), ("crop", ("small",)), ("down", ("large",))):
        module = CmwnetModule(dataclasses.replace(wide, mode=mode))  # pyright: ignore
        module.start_from(before.weights(), before.config)
        for branch in branches:
            with torch.no_grad():
                got, expected = getattr(module, branch)(images), getattr(before, branch)(images)
            assert torch.allclose(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_missing_branches_and_other_backbones_are_refused() -> None:
    crop = CmwnetModule(_config(mode="crop"))
    with pytest.raises(UsageError, match="without the large branch"):
        CmwnetModule(_config()).start_from(crop.weights(), crop.config)
    with pytest.raises(UsageError, match="backbone"):
        CmwnetModule(_config(mode="crop", backbone="unet")).start_from(crop.weights(), crop.config)


def test_branches_can_start_alike() -> None:
    same = dataclasses.replace(_config().ema, start="same")
    for ema, alike in ((same, True), (_config().ema, False)):
        module = CmwnetModule(_config(ema=ema))
        assert module.large is not None
        assert module.small is not None
        pairs = zip(module.large.parameters(), module.small.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) is alike
    alone = CmwnetModule(_config(ema=same, mode="down"))
    together = CmwnetModule(_config(ema=same))
    assert all(torch.equal(v, together.weights()[k]) for k, v in alone.weights().items())


def test_a_checkpoint_survives_the_round_trip(tmp_path: Path) -> None:
    module = CmwnetModule(_config())
    save_checkpoint(tmp_path / "a.safetensors", module.weights(), module.config.to_dict())
    from fundusrt_training.checkpoints import load_checkpoint

    state, config = load_checkpoint(tmp_path / "a.safetensors")
    again = CmwnetModule(_config(run=dataclasses.replace(_config().run, seed=9)))
    again.start_from(state, CmwnetConfig.from_dict(config))
    assert all(torch.equal(v, again.weights()[k]) for k, v in module.weights().items())
