"""Backends by name; each is imported only when it is asked for."""

from __future__ import annotations

from fundusrt.backends.base import InferenceSession
from fundusrt.errors import BackendUnavailable
from fundusrt.manifest.parts import Target

__all__ = ["BACKENDS", "DEVICES", "InferenceSession", "open_session", "require_backend", "target_of"]

DEVICES: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("cpu", "cuda"),
    "openvino": ("cpu",),
    "tensorrt": ("cuda",),
    "tensorrt-rtx": ("cuda",),
    "tensorrt-lean": ("cuda",),
    "onnxruntime-tensorrt": ("cuda",),
    "onnxruntime-tensorrt-rtx": ("cuda",),
}
"""The devices of each backend."""

BACKENDS = tuple(DEVICES)


def require_backend(backend: str, device: str) -> None:
    """Refuse a backend or device that this version cannot run, before a bundle is read.

    Raises:
        BackendUnavailable: unknown backend or device.
    """
    if backend not in DEVICES:
        known = ", ".join(BACKENDS)
        raise BackendUnavailable(
            "backend", got=repr(backend), expected=f"one of {known}", fix=f"pass backend={BACKENDS[0]!r}"
        )
    if device not in DEVICES[backend]:
        expected = " or ".join(repr(name) for name in DEVICES[backend])
        raise BackendUnavailable(
            "device",
            got=f"{device!r} with backend {backend!r}",
            expected=expected,
            fix=f"pass device={DEVICES[backend][0]!r}",
        )


def target_of(backend: str) -> Target:
    """Return for which runtime the graph of a network has to be that a backend runs."""
    if backend in ("onnxruntime", "openvino"):
        return backend
    return "tensorrt"


def open_session(backend: str, device: str, model: bytes, *, source: str, threads: int | None) -> InferenceSession:
    """Open one network on the CPU with the backend asked for, or fail; nothing else is tried.

    Raises:
        BackendUnavailable: unknown backend, another device, or not installed.
        BundleError: the model is not accepted.
    """
    require_backend(backend, device)
    if device != "cpu":
        raise BackendUnavailable(
            "session", got=f"device {device!r}", expected="'cpu'", fix="load the bundle, whose networks share a GPU"
        )
    if backend == "openvino":
        from fundusrt.backends.openvino import OpenVinoSession

        return OpenVinoSession(model, source=source, threads=threads)
    from fundusrt.backends.onnxruntime import OnnxRuntimeSession

    return OnnxRuntimeSession(model, source=source, threads=threads)
