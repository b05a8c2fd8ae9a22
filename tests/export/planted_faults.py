"""Faults that every system's export must find: planted in what all of them share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.field_frame import FieldFrame
from fundusrt_export import golden_vectors

__all__ = ["displace_the_way_back", "plant"]


def drift_the_golden_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_vectors, "_rounded", lambda values: values + np.float32(1e-3))


def dim_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    run = OnnxRuntimeSession.run

    def dimmed(self: OnnxRuntimeSession, feeds: Any) -> Any:
        return {name: values * np.float32(0.999) for name, values in run(self, feeds).items()}

    monkeypatch.setattr(OnnxRuntimeSession, "run", dimmed)


def displace_the_way_back(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Of the systems with a frame: its maps come back displaced."""
    real = FieldFrame.to_native
    monkeypatch.setattr(FieldFrame, "to_native", lambda self, p, *how: np.roll(real(self, p, *how), columns, axis=1))


def plant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    {"the golden vectors": drift_the_golden_vectors, "the runtime": dim_the_runtime}[name](monkeypatch)
