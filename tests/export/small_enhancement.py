"""A tiny MAGE-Net with random weights, as a checkpoint on disk and as a network."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from fundusrt_export.mage_net_deployed import deployed_enhancer, export_mage_net
from fundusrt_export.model_card import BundleInfo
from fundusrt_training.checkpoints import save_checkpoint
from fundusrt_training.models.ag_net import AgNetConfig
from fundusrt_training.models.mage_net import MageConfig, MageNet
from fundusrt_training.systems.mage_net_config import EnhancementDataConfig, MageExportConfig, MageNetConfig
from fundusrt_training.systems.mean_teacher import TeacherConfig

__all__ = ["INFO", "SIDE", "TEACHER", "checkpoint", "exported_teacher", "net_config", "network", "system_config"]

SIDE = 96
TEACHER = 1  # seed of its weights
INFO = BundleInfo(name="tiny", version="1.4.1", training_data="random numbers")


def net_config(**fields: Any) -> MageConfig:
    return MageConfig(**{"n": 8, "u": 4, "o": 4, "num_cab": 1, "rsp": AgNetConfig(base=4, gn_groups=4), **fields})


def network(seed: int = 0, **fields: Any) -> MageNet:
    """Random weights; the last convolution is scaled so that the image changes by some tenths of white."""
    torch.manual_seed(seed)
    made = MageNet(net_config(**fields)).eval()
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.GroupNorm):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
        x = torch.rand(1, 3, SIDE, SIDE)
        change = float((made(x).stages[-1] - x).abs().max())
        last = made.sam.to_image if made.stage2 is None else made.stage2.to_image
        last.weight.mul_(0.4 / change)
    return made


@cache
def exported_teacher() -> bytes:
    """The teacher's ONNX file for ONNX Runtime; the exporter takes ten seconds."""
    return export_mage_net(deployed_enhancer(network(TEACHER)), SIDE, SIDE)


def system_config(
    *, teacher: bool = True, weights: Literal["teacher", "student"] = "teacher", **net: Any
) -> MageNetConfig:
    return MageNetConfig(
        net=net_config(**net),
        data=EnhancementDataConfig(side=SIDE),
        teacher=TeacherConfig(enabled=teacher),
        export=MageExportConfig(weights=weights),
    )


def checkpoint(path: Path, config: MageNetConfig | None = None, *, broken: bool = False, torn: bool = False) -> Path:
    """Write a run's networks, each with weights of its own: student 0, teacher `TEACHER`.

    `broken`: a weight of the last is infinite; `torn`: the teacher's weights are missing.
    """
    config = config or system_config()
    parts = ["student", "teacher"] if config.teacher.enabled else ["student"]
    fields = {name: getattr(config.net, name) for name in config.net.__dataclass_fields__}
    state = {
        f"{part}.{name}": value.clone()
        for seed, part in enumerate(parts[:1] if torn else parts)
        for name, value in network(seed, **fields).state_dict().items()
    }
    if broken:
        state[f"{parts[-1]}.sam.mask.weight"][0] = float("inf")
    save_checkpoint(path, state, config.to_dict(), system="mage-net", step=13)
    return path
