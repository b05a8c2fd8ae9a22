"""How a run is carried out, whatever the system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fundusrt.errors import UsageError

__all__ = ["RunConfig"]


@dataclass(frozen=True)
class RunConfig:
    """How a run is carried out; none of it is in the paper and none of it changes what is optimised, save rounding.

    Args:
        seed: of weights, data order, augmentation and every other draw.
        precision: `fp32`, or `bf16` autocast (CMWNet: needs unet.wavelet_form haar_identity; the guided filter
            of MAGE-Net and the vessel network stays in fp32).
        channels_last: memory layout; 1.8 times faster on CPU.
        workers: loader processes; 0 loads in the training process.
        keep_mib: MiB of decoded photographs that SS-MAF keeps in memory between epochs; the others are read each time.
        val_images: validation images scored by the full pipeline each time; 0 means all.
        val_every: epochs between validations.
        log_every: steps between logged values.
        save_every: epochs between resumable checkpoints.
        compile: backend with which `torch.compile` prepares the networks, such as `inductor`, or null for none: it
            fuses normalisation and activation, which pays on a GPU; the first step waits for it.
    """

    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = True
    workers: int = 0
    keep_mib: int = 512
    val_images: int = 4
    val_every: int = 1
    log_every: int = 1
    save_every: int = 1
    compile: Literal["inductor", "aot_eager"] | None = None

    def __post_init__(self) -> None:
        for name in ("val_every", "log_every", "save_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"run.{name}", got=getattr(self, name), expected="at least 1")
        for name in ("workers", "keep_mib"):
            if getattr(self, name) < 0:
                raise UsageError(f"run.{name}", got=getattr(self, name), expected="0 or more")
        if self.seed < 0:
            raise UsageError("run.seed", got=self.seed, expected="0 or more")
        if self.val_images < 0:
            raise UsageError("run.val_images", got=self.val_images, expected="0 (all) or more")
