"""The manifest of two tiny networks, a pipeline over their sessions, and what fails of a rung."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fundusrt.backends.base import InferenceSession
from fundusrt.certificate import Rung
from fundusrt.manifest import CmwnetManifest, NetworkSpec, TensorSpec, VariantSpec
from fundusrt.pipeline import SegmentationPipeline
from tests.export.small_system import SIDE, system_config

ROLES = ("large", "small")
CONFIG = system_config(levels=1)
SHAPES = {"input": ("batch", 3, SIDE, SIDE), "output": ("batch", 1, SIDE, SIDE)}
IMAGE = TensorSpec(name="image", dtype="float32", shape=SHAPES["input"])
PROBABILITY = TensorSpec(name="probability", dtype="float32", shape=SHAPES["output"])


def manifest() -> CmwnetManifest:
    spec = {
        role: NetworkSpec(
            role="whole_image" if role == "large" else "tile",
            input=IMAGE,
            output=PROBABILITY,
            variants=(VariantSpec(file="-"),),
        )
        for role in ROLES
    }
    return CmwnetManifest.model_construct(
        system="cmwnet",
        preprocess=CONFIG.preprocess_spec(),
        tile=CONFIG.tile_spec(),
        whole_image=CONFIG.whole_spec(),
        networks=spec,
        postprocess=CONFIG.postprocess_spec(),
    )


def pipeline_over(sessions: Mapping[str, InferenceSession]) -> SegmentationPipeline:
    identity: dict[str, Any] = dict.fromkeys(
        ("bundle", "bundle_version", "bundle_sha256", "backend", "provider", "device", "precision"), "test"
    )
    return SegmentationPipeline(manifest(), sessions["large"], sessions["small"], {**identity, "versions": {}})


def failing(rung: Rung) -> list[str]:
    return [measurement.metric for measurement in rung.measurements if not measurement.holds]
