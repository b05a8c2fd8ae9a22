"""A CMWNet checkpoint to its two networks in the form the paper describes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_export.branch import library_form
from fundusrt_export.checkpoint_weights import fill
from fundusrt_export.parity.inputs import Role
from fundusrt_training.checkpoints import load_checkpoint, read_metadata
from fundusrt_training.configuration import apply_settings
from fundusrt_training.data.working_image import file_sha256
from fundusrt_training.models.unet_wavelet import UNetWavelet
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.systems.resumable import part_of

__all__ = ["INFERENCE_SETTINGS", "ROLES", "TrainedSystem", "load_trained"]

ROLES: tuple[Role, Role] = ("large", "small")


@dataclass(frozen=True)
class TrainedSystem:
    """What a checkpoint holds.

    Attributes:
        config: the whole configuration of the training run.
        networks: library-form networks by branch, eval mode, float32, on the CPU.
        facts: what the checkpoint says about its training, for the model card.
        sha256: of the checkpoint file.
    """

    config: CmwnetConfig
    networks: dict[Role, UNetWavelet]
    facts: dict[str, Any]
    sha256: str


# What may be chosen after training: it changes how the two maps become a mask, not the networks.
INFERENCE_SETTINGS = ("infer.", "post.", "cgnr.")


def load_trained(path: str | Path, settings: Sequence[str] = ()) -> TrainedSystem:
    """Load both branches of a CMWNet checkpoint.

    Args:
        path: the checkpoint.
        settings: `NAME=VALUE` for fields of `infer`, `post` and `cgnr`, such as `post.w_large=0.5`.

    Raises:
        InvalidInput: no FundusRT checkpoint, a branch missing, tensors that do not fit, or not finite.
        UsageError: a setting that is unknown, or that would change the networks.
    """
    for setting in settings:
        if not setting.startswith(INFERENCE_SETTINGS):
            raise UsageError(
                f"--set {setting}",
                got="a setting of the training run",
                expected=f"one that starts with {', '.join(INFERENCE_SETTINGS)}",
                fix="train again with it",
            )
    facts = read_metadata(path)
    state, raw = load_checkpoint(path)
    config = apply_settings(CmwnetConfig.from_dict(raw), list(settings))
    if config.backbone != "unet_wavelet":
        raise InvalidInput(
            path,
            got=f"backbone {config.backbone}",
            expected="unet_wavelet",
            fix="the plain U-Net is a baseline for comparison and has no bundle",
        )
    networks: dict[Role, UNetWavelet] = {}
    for role in ROLES:
        branch = part_of(state, role)
        if not branch:
            raise InvalidInput(
                path,
                got=f"no tensors of the branch {role!r} (mode {config.mode})",
                expected="both branches",
                fix="train with mode cmwnet",
            )
        networks[role] = _network(config, branch, f"{path}, branch {role!r}")
    return TrainedSystem(config, networks, facts, file_sha256(Path(path)))


def _network(config: CmwnetConfig, state: dict[str, Tensor], subject: str) -> UNetWavelet:
    return library_form(fill(UNetWavelet(dataclasses.replace(config.unet)), state, subject))
