"""Backends by name; each is imported only when it is asked for."""

from __future__ import annotations

from fundusrt.backends.base import InferenceSession
from fundusrt.errors import BackendUnavailable

__all__ = ["BACKENDS", "InferenceSession", "open_session"]

BACKENDS = ("onnxruntime",)


def open_session(backend: str, device: str, model: bytes, *, source: str, threads: int | None) -> InferenceSession:
    """Open one network on the backend and device asked for, or fail; nothing else is tried.

    Raises:
        BackendUnavailable: unknown backend or device, or not installed.
        BundleError: the model is not accepted.
    """
    if backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise BackendUnavailable(f"backend {backend!r}", got="an unknown name", expected=f"one of {known}")
    if device != "cpu":
        raise BackendUnavailable(
            f"device {device!r}", got=f"backend {backend!r}", expected="device 'cpu'", fix="pass device='cpu'"
        )
    from fundusrt.backends.onnxruntime import OnnxRuntimeSession

    return OnnxRuntimeSession(model, source=source, threads=threads)
