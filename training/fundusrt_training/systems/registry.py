"""The systems by name; a system's modules are imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fundusrt.errors import UsageError

if TYPE_CHECKING:
    from fundusrt_training.systems.evaluator import Evaluator
    from fundusrt_training.systems.task import Task

__all__ = ["DATA_LAYOUTS", "SYSTEMS", "config_type", "evaluator_type", "make_task"]

DATA_LAYOUTS = {
    "cmwnet": "images/ with masks/ and perhaps fov/",
    "ss-maf": "IDRiD, E-Ophtha-EX or HEI-MED as distributed, or images/ with EX/ or masks/",
    "vessel": "DRIVE or HRF as distributed, or images/ with masks/",
    "mage-net": "clean/ with vessels/ (or data.vessel_checkpoint), and unlabelled/ for the teacher",
}
"""What the training data of a system look like; their readers tell the layouts apart."""

SYSTEMS = tuple(DATA_LAYOUTS)


def config_type(system: str) -> type[Any]:
    """Return the configuration class of a system. Raises UsageError for an unknown one."""
    if system == "cmwnet":
        from fundusrt_training.systems.cmwnet_config import CmwnetConfig

        return CmwnetConfig
    if system == "ss-maf":
        from fundusrt_training.systems.ss_maf_config import SsMafConfig

        return SsMafConfig
    if system == "vessel":
        from fundusrt_training.systems.vessel_config import VesselConfig

        return VesselConfig
    if system == "mage-net":
        from fundusrt_training.systems.mage_net_config import MageNetConfig

        return MageNetConfig
    raise UsageError("system", got=repr(system), expected=" or ".join(SYSTEMS), fix="update fundusrt")


def evaluator_type(system: str) -> type[Evaluator[Any, Any]]:
    """Return the class that scores a system's checkpoints. Raises UsageError for an unknown one."""
    if system == "cmwnet":
        from fundusrt_training.systems.cmwnet_evaluator import CmwnetEvaluator

        return CmwnetEvaluator
    if system == "ss-maf":
        from fundusrt_training.systems.ss_maf_evaluator import SsMafEvaluator

        return SsMafEvaluator
    if system == "vessel":
        from fundusrt_training.systems.vessel_evaluator import VesselEvaluator

        return VesselEvaluator
    if system == "mage-net":
        from fundusrt_training.systems.mage_evaluator import MageEvaluator

        return MageEvaluator
    raise UsageError("system", got=repr(system), expected=" or ".join(SYSTEMS), fix="update fundusrt")


def make_task(config: Any) -> Task:
    """Return the task of a configuration."""
    from fundusrt_training.systems.cmwnet_config import CmwnetConfig

    if isinstance(config, CmwnetConfig):
        from fundusrt_training.systems.cmwnet_task import CmwnetTask

        return CmwnetTask(config)
    from fundusrt_training.systems.ss_maf_config import SsMafConfig

    if isinstance(config, SsMafConfig):
        from fundusrt_training.systems.ss_maf_task import SsMafTask

        return SsMafTask(config)
    from fundusrt_training.systems.vessel_config import VesselConfig

    if isinstance(config, VesselConfig):
        from fundusrt_training.systems.vessel_task import VesselTask

        return VesselTask(config)
    from fundusrt_training.systems.mage_net_config import MageNetConfig

    if isinstance(config, MageNetConfig):
        from fundusrt_training.systems.mage_net_task import MageNetTask

        return MageNetTask(config)
    raise TypeError(f"no system has the configuration {type(config).__name__}")
