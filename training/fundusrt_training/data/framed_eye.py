"""Photographs in the square frame around their field of view, made once and kept in the cache.

A full-size photograph takes a second to decode and reduce; a frame of 256 px is read in a fraction of a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fundusrt.field_frame import FieldFrame
from fundusrt.image import read_image
from fundusrt.manifest import FrameSpec
from fundusrt_training.data.cached_array import cached_array
from fundusrt_training.data.degradation.square import square_eye
from fundusrt_training.data.folder import read_mask
from fundusrt_training.data.working_image import file_sha256

__all__ = ["EyeFiles", "FramedEye", "frame_eye", "frame_eyes", "to_pixels", "to_planes"]

Bytes = npt.NDArray[np.uint8]
# Raise when the planes change meaning.
VERSION = 2


@dataclass(frozen=True)
class EyeFiles:
    """Where a photograph is.

    Attributes:
        name: unique in the data set.
        image: the photograph.
        vessels: two-valued mask of the vessels at the photograph's size, or None.
        fov: two-valued mask of the field of view, or None: it is found.
    """

    name: str
    image: Path
    vessels: Path | None = None
    fov: Path | None = None


@dataclass(frozen=True)
class FramedEye:
    """One framed photograph.

    Attributes:
        name: as in `EyeFiles`.
        file: the array in the cache.
        sha256: of the source files, by role.
    """

    name: str
    file: Path
    sha256: dict[str, str]

    def read(self) -> tuple[Bytes, npt.NDArray[np.bool_], Bytes | None]:
        """Return the photograph (side, side, 3) RGB, its field of view, and the vessels, if they are known.

        The field of view is (side, side) bool; outside, the photograph is black. The vessels are (side, side) uint8,
        the share of a pixel's area in 255ths.
        """
        planes = np.load(self.file)
        return planes[..., :3], planes[..., 3] > 0, planes[..., 4] if planes.shape[2] > 4 else None


def frame_eye(files: EyeFiles, side: int, cache: Path) -> FramedEye:
    """Return the framed photograph, from the cache where it is already there.

    Args:
        files: of the photograph.
        side: px of the frame: the field of view's longer extent.
        cache: folder of the cache.

    Raises:
        InvalidInput: a file that cannot be used, or a mask of another size.
        OutputError: the cache cannot be written.
    """
    sources = {"image": files.image, "vessels": files.vessels, "fov": files.fov}
    hashes = {role: file_sha256(path) for role, path in sources.items() if path is not None}
    identity = {"framed_eye": VERSION, "side": side, **hashes}
    return FramedEye(files.name, cached_array(cache, identity, lambda: _planes(files, side)), hashes)


def frame_eyes(
    files: Sequence[EyeFiles], side: int, cache: Path, progress: Callable[[int, int], None] | None = None
) -> list[FramedEye]:
    """Frame every photograph, calling `progress(done, count)` after each."""
    eyes: list[FramedEye] = []
    for each in files:
        eyes.append(frame_eye(each, side, cache))
        if progress is not None:
            progress(len(eyes), len(files))
    return eyes


def to_planes(pixels: Bytes) -> Tensor:
    """Return (C, H, W) float32 in [0, 1] of (H, W, C) uint8."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32) / np.float32(255.0))


def to_pixels(planes: Tensor) -> Bytes:
    """Return (H, W, C) uint8 of (C, H, W) float32 in [0, 1], rounded half up."""
    return torch.floor(planes * 255.0 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()


def _planes(files: EyeFiles, side: int) -> Bytes:
    image = read_image(files.image)
    size = image.height, image.width
    if files.fov is not None:
        image = replace(image, fov=read_mask(files.fov, size))
    pixels, fov = square_eye(image, side)
    planes = [*np.moveaxis(pixels, 2, 0), fov.astype(np.uint8)]
    if files.vessels is not None:
        vessels = read_mask(files.vessels, size).astype(np.uint8) * np.uint8(255)
        whole = FrameSpec(height_px=side, width_px=side, outside="kept")
        planes.append(FieldFrame.around(image, whole).cut(vessels, image.fov))
    return np.stack(planes, axis=2)
