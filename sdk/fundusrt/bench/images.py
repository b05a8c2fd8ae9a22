"""The images of a benchmark: several in turn, so that no cache answers for the machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.atomic import write_bytes
from fundusrt.bench.report import BenchImage
from fundusrt.bundle import Bundle
from fundusrt.errors import InvalidInput
from fundusrt.golden import golden_image
from fundusrt.image import read_image
from fundusrt.png import encode_png
from fundusrt.systems import system_of

__all__ = ["default_images", "describe_images"]

_SAMPLE_QUALITY = 95


def default_images(bundle: Bundle, sample: Path, folder: Path) -> list[Path]:
    """Write the images that a bundle is measured on where none are given.

    Args:
        bundle: a system that the shipped sample is one for gets the sample and its mirror image, as JPEG files; any
            other its golden image four times, turned and mirrored, as PNG files.
        sample: the shipped sample.
        folder: where mirror images go; exists.

    Returns:
        Files that can be read.
    """
    if system_of(bundle.manifest).has_sample:
        mirrored = folder / f"{sample.stem}-mirrored.jpg"
        write_bytes(mirrored, _jpeg(np.ascontiguousarray(read_image(sample).pixels[:, ::-1])))
        return [sample, mirrored]
    pixels = golden_image(bundle).pixels
    files: list[Path] = []
    for name, rows, columns in (("as-is", 1, 1), ("mirrored", 1, -1), ("upside-down", -1, 1), ("turned", -1, -1)):
        files.append(folder / f"golden-{name}.png")
        write_bytes(files[-1], encode_png(np.ascontiguousarray(pixels[::rows, ::columns])))
    return files


def describe_images(files: Sequence[Path]) -> tuple[BenchImage, ...]:
    """Return name, hash and size of each image, all of which have a field of view.

    Raises:
        InvalidInput: an image that cannot be used, or that no network would see.
    """
    found: list[BenchImage] = []
    for file in files:
        eye = read_image(file)
        if not eye.fov.any():
            raise InvalidInput(
                file, got="no field of view", expected="an image that the networks see", fix="leave it out"
            )
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        found.append(BenchImage(name=file.name, sha256=digest, height=eye.height, width=eye.width))
    return tuple(found)


def _jpeg(pixels: npt.NDArray[Any]) -> bytes:
    import cv2

    stored = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(stored), [cv2.IMWRITE_JPEG_QUALITY, _SAMPLE_QUALITY])
    return encoded.tobytes()
