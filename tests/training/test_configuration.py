"""Configurations to JSON and back; what does not fit is refused by name."""

from __future__ import annotations

import json

import pytest

from fundusrt.errors import UsageError
from fundusrt_training.configuration import apply_settings
from fundusrt_training.systems.cmwnet_config import CmwnetConfig


def test_defaults_are_the_papers() -> None:
    data = CmwnetConfig().to_dict()
    assert data["unet"]["base"] == 64
    assert data["unet"]["levels"] == 4
    assert data["tile"] == {
        "size": 512,
        "round": "nearest",
        "sampling": "grid",
        "positive_fraction": None,
        "skip_outside": False,
    }
    assert data["global"]["size"] == 512
    assert data["loss"] == {"bce": 1.0, "dice": 1.0, "tversky": 1.0, "tversky_a": 0.3, "tversky_b": 0.7, "smooth": 1.0}
    assert data["ema"] == {"alpha": 0.3, "every": "step", "large_grad": True, "start": "own"}
    assert data["beta"] == {"mode": "step", "value": None}
    assert data["consistency"] == {"type": "mse", "detach": "small"}
    optim = data["optim"]
    assert (optim["lr"], optim["betas"], optim["wd"], optim["tmax"], optim["eta_min"], optim["batch"]) == (
        5e-3,
        [0.9, 0.999],
        3e-5,
        50,
        1e-5,
        4,
    )
    assert (optim["grad_clip"], optim["amsgrad"], optim["epochs"]) == (None, False, 50)
    assert data["post"] == {"order": "cgnr_then_fuse", "w_large": 0.3}
    assert data["cgnr"] == {"enabled": True, "mode": "parallel", "base": "small"}


def test_json_round_trip() -> None:
    config = apply_settings(
        CmwnetConfig(), ["prep.clahe=null", "global.size=256", "optim.betas=[0.8,0.9]", "mode=crop"]
    )
    again = CmwnetConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.prep.clahe is None
    assert again.whole.size == 256
    assert again.optim.betas == (0.8, 0.9)


def test_settings_reach_through_null() -> None:
    off = apply_settings(CmwnetConfig(), ["prep.clahe=null"])
    on = apply_settings(off, ["prep.clahe.clip=3"])
    assert on.prep.clahe is not None
    assert on.prep.clahe.clip == 3.0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("unet.bse=3", r"unet\.bse: got an unknown key; expected in_channels, .*; did you mean base\?"),
        ("foo.bar=1", r"--set foo\.bar: got foo; expected unet, transformer, tile, global"),
        ("unet.base=x", r'unet\.base: got "x"; expected a value of type int'),
        ("unet.base=true", r"unet\.base: got true; expected a value of type int"),
        ("ema.large_grad=1", r"ema\.large_grad: got 1; expected a value of type bool"),
        ("optim.betas=[1]", r"optim\.betas: got 1 values; expected 2 values"),
        ("optim.betas=1", r"optim\.betas: got 1; expected a list"),
        ("unet.skip=foo", r'unet\.skip: got "foo"; expected add, concat'),
        ("unet=3", r"unet: got 3; expected an object"),
        ("unet.base", r"expected NAME=VALUE"),
        (
            "run.precision=bf16",
            r"run\.precision bf16: got unet\.wavelet_form library; expected unet\.wavelet_form haar_identity",
        ),
        ("tile.size=500", r"tile\.size: got 500 px; expected a multiple of 16 \(2\^unet\.levels\); try 512"),
        ("beta.mode=const", r"beta: got mode const, value None"),
        ("ema.alpha=1.5", r"ema\.alpha: got 1\.5; expected 0 to 1"),
        ("optim.lr=0", r"optim\.lr: got 0\.0; expected above 0"),
        ("optim.grad_clip=-1", r"optim\.grad_clip: got -1\.0"),
        ("tile.positive_fraction=2", r"tile\.positive_fraction: got 2\.0"),
        ("aug.hflip=2", r"aug\.hflip: got 2\.0; expected a probability"),
        ("aug.jitter=[0,0,0,0.7]", r"aug\.jitter \(hue\): got 0\.7; expected 0 to 0\.5"),
        ("unet.out_channels=2", r"unet\.out_channels: got 2; expected 1"),
    ],
)
def test_bad_settings_are_refused_by_name(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        apply_settings(CmwnetConfig(), [setting])


def test_specs_carry_every_field() -> None:
    config = apply_settings(
        CmwnetConfig(),
        [
            "unet.in_channels=1",
            "prep.gamma=1.5",
            "prep.clahe.clip=3",
            "tile.round=ceil",
            "global.interp=bilinear",
            "infer.upsample_on=logit",
            "infer.threshold=0.4",
            "post.order=cgnr_only",
            "post.w_large=0.2",
            "cgnr.mode=raster",
        ],
    )
    pre, post = config.preprocess_spec(), config.postprocess_spec()
    assert (pre.channels, pre.gamma, pre.clahe.clip if pre.clahe else None) == (1, 1.5, 3.0)
    assert config.tile_spec().round == "ceil"
    assert config.whole_spec().interpolation == "bilinear"
    assert (post.upsample_on, post.threshold, post.order, post.w_large, post.cgnr.mode) == (
        "logit",
        0.4,
        "cgnr_only",
        0.2,
        "raster",
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("infer.threshold=0", r"post, infer or cgnr: threshold: got 0"),
        ("post.w_large=1.5", r"post, infer or cgnr: w_large: got 1\.5"),
        ("prep.gamma=0", r"prep: gamma: got 0"),
        ("prep.clahe.grid=100", r"prep: .*grid: got 100"),
        ("run.seed=-1", r"run\.seed: got -1; expected 0 or more"),
        ("optim.wd=-1", r"optim\.wd: got -1\.0; expected at least 0"),
        ("optim.betas=[0.9,1]", r"optim\.betas: got .*; expected two values of at least 0 and below 1"),
        ("metric.spacing=-1", r"metric\.spacing: got -1\.0; expected a length above 0"),
    ],
)
def test_what_a_bundle_would_refuse_is_refused_before_training(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        apply_settings(CmwnetConfig(), [setting])
