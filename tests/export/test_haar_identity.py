"""The identity form of UNet-Wavelet: equal where it is legal, declined where it is not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fundusrt_export.branch import FORMS, deployed_form, library_form
from fundusrt_export.errors import RewriteDeclined, RewriteMismatch
from fundusrt_export.rewrite import rewrite_wavelets
from fundusrt_export.rewrite.haar_identity import rewrite_haar_identity
from fundusrt_training.models.unet_wavelet import UNetWavelet, UNetWaveletConfig
from fundusrt_training.models.wavelet import HaarDown, HaarUp, WaveletUp
from tests.export.wavelet_cases import distance, noise
from tests.tolerances import WAVELET_REWRITE_FLOAT32


def network(**keywords: Any) -> UNetWavelet:
    torch.manual_seed(0)
    return UNetWavelet(UNetWaveletConfig(**{"base": 8, "levels": 2, **keywords})).eval()


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"highs": "zero"},
        {"skip": "concat"},
        {"dwt_mode": "periodization"},
        {"wave": "db1"},
        {"wave": "bior1.1"},
        {"highs": "zero", "align_conv": "post_conv"},
        {"levels": 4},
        {"norm_placement": "block_end"},
    ],
)
def test_equal_where_legal(keywords: dict[str, Any]) -> None:
    original = network(**keywords)
    made = rewrite_haar_identity(original)
    x = noise(2, 3, 64, 96, dtype=torch.float32)
    with torch.no_grad():
        assert distance(original(x), made(x)) <= WAVELET_REWRITE_FLOAT32
    assert isinstance(made.down, HaarDown)
    assert isinstance(made.up, HaarUp)
    assert made.config.wavelet_form == "haar_identity"
    assert original.config.wavelet_form == "library"
    assert list(made.state_dict()) == list(original.state_dict())


def test_works_on_the_convolution_form_too() -> None:
    original = network()
    made = rewrite_haar_identity(rewrite_wavelets(original))
    x = noise(1, 3, 32, 32, dtype=torch.float32)
    with torch.no_grad():
        assert distance(original(x), made(x)) <= WAVELET_REWRITE_FLOAT32


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {"wave": "db2"},
            r"analysis, filter h0_col: got \(0\.4830, 0\.8365, .*; expected Haar \(0\.7071, 0\.7071\); export",
        ),
        ({"highs": "predicted"}, r"got unet\.highs predicted; expected encoder or zero"),
        ({"highs": "predicted", "align_conv": "split"}, r"got unet\.highs predicted"),
        ({"wavelet_form": "haar_identity"}, r"down: got HaarDown; expected exactly a WaveletDown"),
    ],
)
def test_declines(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(RewriteDeclined, match=message):
        rewrite_haar_identity(network(**keywords))


def test_declines_a_filter_that_only_looks_like_haar() -> None:
    """The sign of the high filter decides the sign of H(F); here analysis and synthesis still agree with each other."""
    original = network()
    original.up.idwt.g1_col.neg_()
    with pytest.raises(RewriteDeclined, match=r"synthesis, filter g1_col: got \(-0\.7071, 0\.7071\)"):
        rewrite_haar_identity(original)


def test_declines_hooks() -> None:
    original = network()
    original.down.register_forward_hook(lambda *_: None)
    with pytest.raises(RewriteDeclined, match=r"down: got a forward hook"):
        rewrite_haar_identity(original)


class Gated(UNetWavelet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def test_declines_a_subclass() -> None:
    with pytest.raises(RewriteDeclined, match=r"got Gated; expected exactly a UNetWavelet"):
        rewrite_haar_identity(Gated(UNetWaveletConfig(base=8, levels=2)))


@pytest.mark.parametrize("change", ["new tensor", "in place"])
def test_declines_high_bands_that_were_touched_on_the_way(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration says `encoder`; what counts is what flows."""
    original = network()
    block = type(original.decoder[0])
    bands = block._bands

    def gated(self: nn.Module, x: Tensor, highs: Tensor) -> Tensor | None:
        made = bands(self, x, highs)
        return made * 1.0 if change == "new tensor" else made.mul_(1.0)

    monkeypatch.setattr(block, "_bands", gated)
    with pytest.raises(
        RewriteDeclined, match=r"data flow: got high bands or skip features that are not the encoder's own"
    ):
        rewrite_haar_identity(original)


def test_declines_a_skip_that_was_modified(monkeypatch: pytest.MonkeyPatch) -> None:
    original = network()
    block = type(original.decoder[0])
    forward = block.forward

    def scaled(self: nn.Module, x: Tensor, highs: Tensor, skip: Tensor, up: nn.Module) -> Tensor:
        return forward(self, x, highs, skip * 2, up)

    monkeypatch.setattr(block, "forward", scaled)
    with pytest.raises(RewriteDeclined, match="data flow"):
        rewrite_haar_identity(original)


@pytest.mark.parametrize("fault", ["no factor 2", "no skip", "wrong sign"])
def test_a_planted_fault_is_a_mismatch(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    down, up = HaarDown.forward, HaarUp.forward
    if fault == "no factor 2":  # plain average pooling, the classic mistake
        monkeypatch.setattr(HaarDown, "forward", lambda self, x: tuple(band / 2 for band in down(self, x)))
    elif fault == "no skip":
        monkeypatch.setattr(HaarUp, "forward", lambda self, low, highs, skip: up(self, low, highs, skip) - skip)
    else:
        monkeypatch.setattr(HaarUp, "forward", lambda self, low, highs, skip: 2 * skip - up(self, low, highs, skip))
    with pytest.raises(RewriteMismatch, match=r"haar identity: got relative difference .* expected at most 1e-05"):
        rewrite_haar_identity(network())


def test_nan_is_a_mismatch() -> None:
    original = network()
    with torch.no_grad():
        original.head.bias.fill_(float("nan"))
    with pytest.raises(RewriteMismatch, match="relative difference inf"):
        rewrite_haar_identity(original)


def test_float64_with_exact_filters_is_equal_to_rounding() -> None:
    """With the library's float32 taps the difference is theirs; with exact ones it is float64's."""
    original = network().double()
    for step in (original.down, original.up):
        for _, taps in step.named_buffers():
            taps.copy_(taps.sign() * 0.5**0.5)
    made = rewrite_haar_identity(original)
    x = noise(1, 3, 32, 32)
    with torch.no_grad():
        assert distance(original(x), made(x)) <= 1e-12


@pytest.mark.parametrize("form", FORMS)
def test_deployed_forms_of_a_network_trained_in_the_identity_form(form: str) -> None:
    trained = network(wavelet_form="haar_identity")
    reference = library_form(trained)
    assert isinstance(reference.up, WaveletUp)
    made = deployed_form(reference, form)  # type: ignore[arg-type]
    x = noise(1, 3, 32, 32, dtype=torch.float32)
    with torch.no_grad():
        assert distance(trained(x), made(x)) <= WAVELET_REWRITE_FLOAT32
    assert dataclasses.asdict(reference.config) | {"wavelet_form": "haar_identity"} == dataclasses.asdict(
        trained.config
    )
