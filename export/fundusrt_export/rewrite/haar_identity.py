"""UNet-Wavelet without wavelets: the perfect-reconstruction identity in place of the Haar pair."""

from __future__ import annotations

import copy
import dataclasses
import logging
from typing import Any

import torch
from torch import Tensor, nn

from fundusrt_export.errors import RewriteDeclined, RewriteMismatch
from fundusrt_export.rewrite.analysis import ConvDWT
from fundusrt_export.rewrite.library import is_analysis, is_synthesis
from fundusrt_export.rewrite.proof import relative_difference, rewrite_limit
from fundusrt_export.rewrite.synthesis import ConvIDWT
from fundusrt_training.models.unet_wavelet import UNetWavelet
from fundusrt_training.models.wavelet import HaarDown, HaarUp, WaveletDown, WaveletUp

__all__ = ["rewrite_haar_identity"]

logger = logging.getLogger(__name__)


def rewrite_haar_identity(network: UNetWavelet, *, example: Tensor | None = None) -> UNetWavelet:
    """Return a deep copy of `network` whose wavelet pair is pooling, one subtraction and one up-sampling.

        LL(F) = 2 avg_pool2(F),  IDWT(l, H(F)) = F + 1/2 up2(l - LL(F)),  IDWT(l, 0) = 1/2 up2(l)

    It rests on perfect reconstruction, so each condition below matters. Legal when all of these hold:

    1. the network is exactly a `UNetWavelet` whose `down` and `up` are exactly `WaveletDown` and `WaveletUp`, without
       hooks;
    2. both transforms are one-level Haar: the filters themselves are checked, not the name, to the rounding of their
       dtype; they may be pytorch_wavelets' or their convolution rewrites; the padding mode is free, since nothing is
       padded;
    3. every level has even height and width, which the network's own input check guarantees (multiples of 2^levels);
    4. the high bands the inverse gets are the very tensors the encoder computed from the very skip features it gets,
       and neither was modified in between (`highs=encoder`); or there are none (`highs=zero`). This is observed while
       the example runs, not concluded from the configuration.

    Declines otherwise: another wavelet, `highs=predicted` and `align_conv=split` (bands that the decoder makes are not
    H(F), so nothing cancels), a changed data flow, hooks that would be lost. Already rewritten networks are case 1's
    violation and declined too.

    Args:
        network: not modified.
        example: (N, C, H, W) on which both are compared; default: uniform noise of 4 * 2^levels px.

    Raises:
        RewriteDeclined: a condition above does not hold.
        RewriteMismatch: the outputs differ by more than rounding (float32: 1e-5 of the output range), or are not
            finite.
    """
    _check_structure(network)
    sides = (("analysis", network.dwt), ("synthesis", network.idwt))
    deviation = max(_check_haar(side, transform) for side, transform in sides)
    if network.config.highs not in ("encoder", "zero"):
        raise RewriteDeclined(
            "haar identity",
            got=f"unet.highs {network.config.highs}",
            expected="encoder or zero: the identity needs H(F) itself",
            fix="export the convolution form",
        )
    example = _noise(network) if example is None else example
    reference = _run_watched(network, example)
    rewritten = copy.deepcopy(network)
    rewritten.config = dataclasses.replace(network.config, wavelet_form="haar_identity")
    rewritten.down = HaarDown().train(network.down.training)
    rewritten.up = HaarUp().train(network.up.training)
    with torch.no_grad():
        difference = relative_difference(reference, copy.deepcopy(rewritten)(example))
    # Filters made in float32 stay rounded after `.double()`; the identity is the exact Haar transform.
    limit = rewrite_limit(reference.dtype if deviation < 1e-15 else torch.float32)
    if not difference <= limit:
        raise RewriteMismatch(
            "haar identity", got=f"relative difference {difference:.3e}", expected=f"at most {limit:.0e}"
        )
    logger.info("haar identity: difference %.2e", difference)
    return rewritten


def _check_structure(network: nn.Module) -> None:
    if type(network) is not UNetWavelet or "forward" in vars(network):
        raise RewriteDeclined("haar identity", got=type(network).__name__, expected="exactly a UNetWavelet")
    for name, kind in (("down", WaveletDown), ("up", WaveletUp)):
        step = getattr(network, name)
        if type(step) is not kind:
            raise RewriteDeclined(
                f"haar identity, {name}", got=type(step).__name__, expected=f"exactly a {kind.__name__}"
            )
        for module in step.modules():
            if any(value for key, value in vars(module).items() if key.endswith("_hooks") and "forward" in key):
                raise RewriteDeclined(
                    f"haar identity, {name}", got="a forward hook, which would be lost", fix="remove it"
                )


def _check_haar(side: str, transform: nn.Module) -> float:
    """Return how far the filters are from Haar's."""
    known = is_analysis(transform) or type(transform) is ConvDWT
    if side == "synthesis":
        known = is_synthesis(transform) or type(transform) is ConvIDWT
    if not known:
        raise RewriteDeclined(
            f"haar identity, {side}", got=type(transform).__name__, expected="a known wavelet transform"
        )
    if side == "analysis" and transform.J != 1:
        raise RewriteDeclined("haar identity, analysis", got=f"{transform.J} levels in one call", expected="1")
    names = ConvDWT.NAMES if side == "analysis" else ConvIDWT.NAMES
    worst = 0.0
    for name in names:
        taps = transform.get_buffer(name).reshape(-1).double()
        # Reversed analysis filters and plain synthesis filters of Haar are the same numbers: (s, s) and (s, -s).
        sign = -1.0 if "1" in name else 1.0
        haar = torch.tensor([1.0, sign], dtype=torch.float64, device=taps.device) * 0.5**0.5
        rounding = 2.0 * torch.finfo(transform.get_buffer(name).dtype).eps + 2.0 * torch.finfo(torch.float32).eps
        deviation = float((taps - haar).abs().max()) if taps.numel() == 2 else float("inf")
        if not deviation <= rounding:
            shown = ", ".join(f"{value:.4f}" for value in taps[:4].tolist()) + (", ..." if taps.numel() > 4 else "")
            raise RewriteDeclined(
                f"haar identity, {side}, filter {name}",
                got=f"({shown})",
                expected=f"Haar ({haar[0]:.4f}, {haar[1]:.4f})",
                fix="export the convolution form",
            )
        worst = max(worst, deviation)
    return worst


@torch.no_grad()
def _run_watched(network: UNetWavelet, example: Tensor) -> Tensor:
    """Run a copy of the network and see that each inverse gets the encoder's own tensors, unmodified."""
    watched = copy.deepcopy(network)
    made: list[tuple[Tensor, int, Tensor, int]] = []

    def after_down(module: nn.Module, args: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        del module
        made.append((args[0], args[0]._version, output[1], output[1]._version))

    def before_up(module: nn.Module, args: tuple[Any, ...]) -> None:
        del module
        _, highs, skip = args
        if highs is None:
            return
        features, features_version, bands, bands_version = made.pop()
        same = skip is features and highs is bands
        if not same or skip._version != features_version or highs._version != bands_version:
            raise RewriteDeclined(
                "haar identity, data flow",
                got="high bands or skip features that are not the encoder's own, or were modified on the way",
                expected="IDWT(l, H(F)) with the skip F",
                fix="export the convolution form",
            )

    watched.down.register_forward_hook(after_down)
    watched.up.register_forward_pre_hook(before_up)
    return watched(example)


def _noise(network: UNetWavelet) -> Tensor:
    weight = network.head.weight
    side = 4 * network.config.divisor
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, network.config.in_channels, side, side, generator=generator)
    return noise.to(device=weight.device, dtype=weight.dtype)
