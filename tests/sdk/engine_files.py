"""What tests of the engine cache share: an identity, and a plan with its report."""

from __future__ import annotations

from typing import Any

from fundusrt.engine_identity import BatchRange, EngineIdentity, EngineOptions

PLAN = b"ftrt" + bytes(range(256)) * 4
REPORT: dict[str, Any] = {"parsed_layers": 3, "build_s": 0.25}
COMMAND = "fundusrt build leakage --for tensorrt --precision fp16 --batch 1,4,4"


def identity(**changes: Any) -> EngineIdentity:
    fields: dict[str, Any] = {
        "bundle": "leakage",
        "bundle_sha256": "1" * 64,
        "network": "small",
        "onnx_sha256": "2" * 64,
        "variant": "tensorrt",
        "precision": "fp16",
        "flavour": "tensorrt",
        "version": "10.9.0",
        "gpu": "sm89 NVIDIA L4",
        "system": "linux-x86_64",
        "batch": BatchRange(min=1, opt=4, max=4),
        "options": EngineOptions(),
    }
    return EngineIdentity(**{**fields, **changes})


def build() -> tuple[bytes, dict[str, Any]]:
    return PLAN, REPORT


def never() -> tuple[bytes, dict[str, Any]]:
    raise AssertionError("built again")
