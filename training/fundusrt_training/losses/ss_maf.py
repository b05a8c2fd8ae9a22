"""SS-MAF's objective (paper, eq. 11-14).

    L = L_CBCE(O_seg, Y) + MSE(O_sr, HR) + L_RMI(O_fuseg, Y) + MSE(O_fusr, HR)

Every part has weight 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from fundusrt.errors import UsageError
from fundusrt_training.losses.class_balanced import class_balanced_cross_entropy
from fundusrt_training.losses.region_mutual_information import region_mutual_information
from fundusrt_training.models.ss_maf import SsMafOutputs

__all__ = ["SsMafLossConfig", "ss_maf_losses"]

_SEGMENTATION = ("cbce", "ce")
_FUSED = ("rmi", "ce")


@dataclass(frozen=True)
class SsMafLossConfig:
    """The terms.

    Args:
        seg: of the segmentation: `cbce` (paper) or plain `ce` (the authors' script but for one data set).
        cbce_beta: of CBCE.
        cbce_norm: see `losses.class_balanced`.
        fuse_seg: of the fused segmentation: `rmi` or `ce`.
        rmi_radius: see `losses.region_mutual_information`.
        rmi_pool: the same.
        rmi_weight: the same.
    """

    seg: Literal["cbce", "ce"] = "cbce"
    cbce_beta: float = 0.9999
    cbce_norm: Literal["weighted_mean", "sum", "mean"] = "weighted_mean"
    fuse_seg: Literal["rmi", "ce"] = "rmi"
    rmi_radius: int = 3
    rmi_pool: int = 3
    rmi_weight: float = 0.5

    def __post_init__(self) -> None:
        if self.seg not in _SEGMENTATION:
            raise UsageError("loss.seg", got=repr(self.seg), expected=" or ".join(_SEGMENTATION))
        if self.fuse_seg not in _FUSED:
            raise UsageError("loss.fuse_seg", got=repr(self.fuse_seg), expected=" or ".join(_FUSED))
        if not 0 <= self.cbce_beta < 1:
            raise UsageError("loss.cbce_beta", got=self.cbce_beta, expected="0 to below 1")
        for name in ("rmi_radius", "rmi_pool"):
            if getattr(self, name) < 1:
                raise UsageError(f"loss.{name}", got=getattr(self, name), expected="at least 1")
        if not 0 <= self.rmi_weight <= 1:
            raise UsageError("loss.rmi_weight", got=self.rmi_weight, expected="0 to 1")


def ss_maf_losses(outputs: SsMafOutputs, labels: Tensor, hr: Tensor, config: SsMafLossConfig) -> dict[str, Tensor]:
    """Return the terms the stream has, by name (`seg`, `sr`, `fused_seg`, `fused_sr`), and their sum, `loss`.

    Args:
        outputs: of the network in training, at the size of the targets.
        labels: (N, H, W) int64.
        hr: (N, 3, H, W) float32, normalised as the input is.
        config: the terms.
    """
    terms: dict[str, Tensor] = {}
    if config.seg == "cbce":
        terms["seg"] = class_balanced_cross_entropy(outputs.seg, labels, config.cbce_beta, config.cbce_norm)
    else:
        terms["seg"] = F.cross_entropy(outputs.seg.float(), labels)
    if outputs.sr is not None:
        terms["sr"] = F.mse_loss(outputs.sr.float(), hr)
    if outputs.fused_seg is not None and outputs.fused_sr is not None:
        terms["fused_seg"] = (
            region_mutual_information(outputs.fused_seg, labels, config.rmi_radius, config.rmi_pool, config.rmi_weight)
            if config.fuse_seg == "rmi"
            else F.cross_entropy(outputs.fused_seg.float(), labels)
        )
        terms["fused_sr"] = F.mse_loss(outputs.fused_sr.float(), hr)
    return terms | {"loss": sum(terms.values(), hr.new_zeros(()))}
