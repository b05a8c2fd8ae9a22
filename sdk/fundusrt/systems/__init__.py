"""The systems by name: the one place that says which pipeline, golden comparison and words belong to a manifest."""

from __future__ import annotations

from typing import Any

from fundusrt.manifest import BundleManifest
from fundusrt.systems.cmwnet import CmwnetSystem
from fundusrt.systems.mage_net import MageNetSystem
from fundusrt.systems.ss_maf import SsMafSystem
from fundusrt.systems.system import System

__all__ = ["SYSTEMS", "System", "system_of"]

SYSTEMS: dict[str, System[Any, Any]] = {"cmwnet": CmwnetSystem(), "ss-maf": SsMafSystem(), "mage-net": MageNetSystem()}


def system_of(manifest: BundleManifest) -> System[Any, Any]:
    """Return the system of a manifest."""
    return SYSTEMS[manifest.system]
