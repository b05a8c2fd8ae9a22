"""Backends by name; each is imported only when it is asked for."""

from __future__ import annotations

from fundusrt.backends.base import InferenceSession
from fundusrt.errors import BackendUnavailable

__all__ = ["BACKENDS", "InferenceSession", "open_session", "require_backend"]

BACKENDS = ("onnxruntime", "openvino")


def require_backend(backend: str, device: str) -> None:
    """Refuse a backend or device that this version cannot run, before a bundle is read.

    Raises:
        BackendUnavailable: unknown backend or device.
    """
    if backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise BackendUnavailable(
            "backend", got=repr(backend), expected=f"one of {known}", fix=f"pass backend={BACKENDS[0]!r}"
        )
    if device != "cpu":
        raise BackendUnavailable(
            "device", got=f"{device!r} with backend {backend!r}", expected="'cpu'", fix="pass device='cpu'"
        )


def open_session(backend: str, device: str, model: bytes, *, source: str, threads: int | None) -> InferenceSession:
    """Open one network on the backend and device asked for, or fail; nothing else is tried.

    Raises:
        BackendUnavailable: unknown backend or device, or not installed.
        BundleError: the model is not accepted.
    """
    require_backend(backend, device)
    if backend == "openvino":
        from fundusrt.backends.openvino import OpenVinoSession

        return OpenVinoSession(model, source=source, threads=threads)
    from fundusrt.backends.onnxruntime import OnnxRuntimeSession

    return OnnxRuntimeSession(model, source=source, threads=threads)
