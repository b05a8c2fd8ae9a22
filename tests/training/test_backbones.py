"""The networks a branch may be: shapes, refusals, seeds, and one step of training of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.networks.nets.swin_unetr import SwinUNETR
from monai.networks.nets.unetr import UNETR

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training import trainer
from fundusrt_training.evaluate import evaluate, open_candidate
from fundusrt_training.models.backbones import BACKBONES, Backbone, MonaiNetwork, TransformerConfig, make_backbone
from fundusrt_training.models.unet import UNet
from fundusrt_training.models.unet_wavelet import UNetWavelet, UNetWaveletConfig
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

Make = Callable[..., CmwnetConfig]
UNET = UNetWaveletConfig(in_channels=1, out_channels=2, base=8, levels=2)
NARROW = TransformerConfig(feature_size=12, hidden_size=24, mlp_dim=24, heads=2)
SETTINGS = (
    "tile.size=64",
    "global.size=64",
    "transformer.feature_size=12",
    "transformer.hidden_size=24",
    "transformer.mlp_dim=24",
    "transformer.heads=2",
)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_logits_have_the_image_s_size(backbone: Backbone) -> None:
    network = make_backbone(backbone, UNET, NARROW, 64)
    logits = network(torch.rand(2, 1, 64, 64))
    assert logits.shape == (2, 2, 64, 64)
    assert (logits < 0).any(), "logits, not probabilities"
    assert (logits > 0).any()


def test_each_name_is_its_network() -> None:
    made = [make_backbone(backbone, UNET, NARROW, 64) for backbone in BACKBONES]
    kinds = [type(each.network) if isinstance(each, MonaiNetwork) else type(each) for each in made]
    assert kinds == [UNetWavelet, UNet, SwinUNETR, UNETR]


@pytest.mark.parametrize(
    ("backbone", "shape", "text"),
    [
        ("swin_unetr", (1, 1, 64, 80), r"SwinUNETR input: got shape \(1, 1, 64, 80\); expected \(N, 1, H, W\), .* 32"),
        ("swin_unetr", (1, 3, 64, 64), r"SwinUNETR input: got shape \(1, 3, 64, 64\)"),
        ("unetr", (1, 1, 128, 128), r"UNETR input: got .*; expected \(N, 1, H, W\), sides of 64 px; resize or pad"),
        ("unetr", (1, 64, 64), r"UNETR input: got shape \(1, 64, 64\)"),
    ],
)
def test_other_images_are_refused(backbone: Backbone, shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        make_backbone(backbone, UNET, NARROW, 64)(torch.rand(shape))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (("backbone=swin_unetr", "tile.size=80"), r"tile\.size: got 80 px; expected a multiple of 32 \(2\^5 .*try 96"),
        (("backbone=swin_unetr", "global.size=32"), r"global\.size: got 32 px; .*, at least 64; try 64"),
        (("backbone=swin_unetr", "transformer.feature_size=16"), r"transformer\.feature_size: got 16; .*12.*; try 24"),
        (("backbone=unetr", "tile.size=72"), r"tile\.size: got 72 px; expected a multiple of 16 \(the side of unetr"),
        (("backbone=unetr", "tile.size=32"), r"backbone unetr: got tile\.size 32, global\.size 64; expected one side"),
        (("transformer.heads=5",), r"transformer\.hidden_size: got 24 for 5 heads; expected a multiple of"),
        (("transformer.mlp_dim=0",), r"transformer\.mlp_dim: got 0; expected at least 1"),
    ],
)
def test_refused_configuration(tiny_config: Make, settings: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        tiny_config(*SETTINGS, *settings)


@pytest.mark.parametrize("backbone", ["swin_unetr", "unetr"])
def test_weights_follow_from_the_seed_and_the_branches_average(tiny_config: Make, backbone: str) -> None:
    config = tiny_config(*SETTINGS, f"backbone={backbone}", "ema.alpha=1")
    first, again = CmwnetModule(config), CmwnetModule(config)
    assert all(torch.equal(value, again.weights()[name]) for name, value in first.weights().items())
    large, small = (list(branch.parameters()) for branch in (first.parts()["large"], first.parts()["small"]))
    assert not all(torch.equal(a, b) for a, b in zip(large, small, strict=True))
    first.follow()
    assert all(torch.equal(a, b) for a, b in zip(large, small, strict=True))


@pytest.mark.parametrize("backbone", ["swin_unetr", "unetr"])
def test_it_is_trained_and_scored_as_any_other(
    folder: Path, cache: Path, tmp_path: Path, tiny_config: Make, backbone: str
) -> None:
    config = tiny_config(*SETTINGS, f"backbone={backbone}", "optim.steps_per_epoch=1", "optim.epochs=1")
    run = trainer.train(config, folder, tmp_path / "run", cache=cache)
    (row,) = evaluate([open_candidate(str(run.checkpoints / "last.safetensors"))], folder, cache=cache, limit=1)
    assert 0.0 <= row.figures["dice"] <= 1.0
    with pytest.raises(UsageError, match=f"--init: got weights of another network: {backbone}"):
        CmwnetModule(tiny_config()).start_from({}, config)
