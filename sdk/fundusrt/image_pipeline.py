"""What every pipeline is: a manifest over open sessions, called with an image, answering with a result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from fundusrt.backends.base import InferenceSession
from fundusrt.errors import BackendUnavailable, BundleError
from fundusrt.image import FundusImage, from_array, read_image
from fundusrt.manifest import BundleManifest
from fundusrt.provenance import GpuWork
from fundusrt.result_files import Result

__all__ = ["ImageInput", "ImagePipeline", "no_field_reason"]

ImageInput = str | Path | npt.NDArray[Any] | FundusImage
Values = npt.NDArray[np.float32]
M = TypeVar("M", bound=BundleManifest)
R = TypeVar("R", bound=Result, covariant=True)


class ImagePipeline(ABC, Generic[M, R]):
    """A system's stages over its networks; call it with an image. Several threads may share it.

    Args:
        manifest: how to treat an image.
        sessions: the networks by name; their tensors must be those of the manifest.
        identity: the fields of `Provenance` that say what runs (bundle, backend, device, precision, versions).
        max_megapixels: larger image files are refused from their header; None for `read_image`'s default.

    Raises:
        BundleError: a network whose tensors are not what the manifest says.
    """

    def __init__(
        self,
        manifest: M,
        sessions: Mapping[str, InferenceSession],
        identity: dict[str, Any],
        *,
        max_megapixels: float | None = None,
    ) -> None:
        self.manifest = manifest
        self.sessions = dict(sessions)
        self._identity = identity
        self._max_megapixels = max_megapixels
        for name, session in self.sessions.items():
            _check_tensors(manifest, name, session)

    @abstractmethod
    def __call__(self, image: ImageInput) -> R:
        """Run one image: a file, an (H, W) or (H, W, 3) RGB uint8/uint16 array, or a FundusImage.

        Raises:
            InvalidInput: the image cannot be used.
            BackendUnavailable: a network failed, or answered what it may not.
        """

    @property
    def identity(self) -> dict[str, Any]:
        """The fields of `Provenance` that say what runs."""
        return dict(self._identity)

    def open_image(self, image: ImageInput) -> FundusImage:
        """Return the image with its field of view."""
        if isinstance(image, FundusImage):
            return image
        if isinstance(image, str | Path):
            limit = {} if self._max_megapixels is None else {"max_megapixels": self._max_megapixels}
            return read_image(image, **limit)
        return from_array(image)

    def close(self) -> None:
        """Free the networks."""
        for session in self.sessions.values():
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, name: str, feed: Values, *, within: tuple[float, float], expected: str) -> Values:
        """Return a network's (N, C, H, W) output; NaN or values outside `within` are an error, not an answer."""
        session, spec = self.sessions[name], self.manifest.networks[name]
        values = session.run({spec.input.name: feed})[spec.output.name]
        lowest, highest = values.min(), values.max()
        if not (lowest >= within[0] and highest <= within[1]):
            raise BackendUnavailable(
                f"network {name!r} on {session.name}",
                got=f"values from {lowest:g} to {highest:g}",
                expected=expected,
                fix="run `fundusrt verify` on this machine",
            )
        return values

    def _origin(self, eye: FundusImage, gpu: GpuWork | None = None, notes: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the fields of `Provenance` that do not depend on the system; `notes` are warnings of the networks."""
        return {
            "source": eye.source_id,
            "image_px": (eye.height, eye.width),
            "bit_depth": eye.pixels.dtype.itemsize * 8,
            "warnings": (*_doubts(eye), *notes),
            "gpu": gpu,
            **self._identity,
        }


def no_field_reason(eye: FundusImage) -> str:
    """Return why an image without a field of view cannot be graded."""
    if eye.pixels.any():
        return "no field of view: none stands out from its surround, or an empty one was given"
    return "no field of view found: the image is black"


def _doubts(eye: FundusImage) -> tuple[str, ...]:
    """What may be wrong with the image, though nothing is done about it: its scale is never guessed."""
    if eye.pixels.dtype != np.uint16:
        return ()
    bits = int(eye.pixels.max()).bit_length()
    if bits > 14 or bits == 0:
        return ()
    found = f"16-bit image whose largest sample uses {bits} bits"
    return (f"{found}: read as it is, very dark; scale it if it is {bits}-bit data",)


def _check_tensors(manifest: BundleManifest, name: str, session: InferenceSession) -> None:
    """Refuse a network whose tensors are not what the manifest says."""
    spec = manifest.networks[name]
    for kind, expected, found in (("input", spec.input, session.inputs), ("output", spec.output, session.outputs)):
        actual = found.get(expected.name)
        if actual is None or len(found) != 1 or _fixed(actual.shape) != _fixed(expected.shape):
            raise BundleError(
                f"network {name!r}, {kind}",
                got=", ".join(f"{tensor.name} {tensor.shape}" for tensor in found.values()) or "none",
                expected=f"{expected.name} {expected.shape} as in the manifest",
                fix="export the bundle again",
            )


def _fixed(shape: tuple[int | str, ...]) -> tuple[int | None, ...]:
    """Free dimensions compare equal whatever their name."""
    return tuple(length if isinstance(length, int) else None for length in shape)
