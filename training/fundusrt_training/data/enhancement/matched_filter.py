"""Vessels by Gaussian matched filters (Chaudhuri et al. 1989): structure references that nobody had to draw.

    python -m fundusrt_training.data.enhancement.matched_filter DATA      DATA/clean/* -> DATA/vessels/NAME.png

A vessel's cross-section in the green channel is close to an inverted Gaussian. Each kernel is such a valley, of zero
mean, drawn out along a line; the strongest answer over directions and widths says how much a pixel looks like one.
MAGE-Net's paper takes a trained network instead (`data.vessel_checkpoint`); this needs no annotated data, so a model
trained with it depends on the licence of the photographs alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput
from fundusrt.image import read_image
from fundusrt.preprocess import to_8_bit
from fundusrt_training.data.png_file import write_png

__all__ = ["filter_folder", "matched_filter", "vessels_by_filter"]

Map = npt.NDArray[np.float32]

# Widths in px of a field of view of 512 px: HRF's and IDRiD's vessels measure 2 to 8 there.
SIGMAS = (1.0, 1.6, 2.5)
DIRECTIONS = 12
BACKGROUND = 20.0  # sigma in px of the mean and the deviation around a pixel
SIDE = 512.0
# The share of the field that vessels cover in annotated photographs is 8 to 14 %; the strongest answers are taken.
VESSEL_SHARE = 0.10


def matched_filter(green: Map, sigma: float) -> Map:
    """Return the strongest answer over all directions, (H, W) float32, of valleys of one width.

    Args:
        green: (H, W) float32.
        sigma: of the valley's cross-section in px.
    """
    answers = [cv2.filter2D(green, cv2.CV_32F, _kernel(sigma, k)) for k in range(DIRECTIONS)]
    return np.asarray(np.max(answers, axis=0), np.float32)


def vessels_by_filter(pixels: npt.NDArray[np.uint8], fov: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the mask, (H, W) bool, of the `VESSEL_SHARE` of the field that answers most strongly.

    A field of view of more than `SIDE` px is reduced to that first: vessels of its size say enough about structure.

    Args:
        pixels: (H, W, 3) RGB or (H, W) grey uint8.
        fov: (H, W) bool, the field of view.
    """
    if not fov.any():
        return np.zeros_like(fov)
    green = np.ascontiguousarray(pixels if pixels.ndim == 2 else pixels[..., 1])
    scale = min(1.0, SIDE / float(np.sqrt(4.0 * fov.sum() / np.pi)))
    height, width = fov.shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(green, size, interpolation=cv2.INTER_AREA), np.float32)
    inside = np.asarray(cv2.resize(fov.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)) > 0
    found = _strongest(_even(small, inside), inside).astype(np.uint8)
    return fov & (np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST)) > 0)


def _strongest(even: Map, fov: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    answer = np.max([matched_filter(even, sigma) for sigma in SIGMAS], axis=0)
    # The rim is an edge, which answers like half a valley.
    inside = cv2.erode(fov.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=6) > 0
    if not inside.any():
        return np.zeros_like(fov)
    return inside & (answer > np.quantile(answer[inside], 1.0 - VESSEL_SHARE)) & (answer > 0)


def _even(green: Map, fov: npt.NDArray[np.bool_]) -> Map:
    """Return the deviation from the local mean over the local standard deviation; 0 outside the field."""
    weight = fov.astype(np.float32)

    def mean(values: Map) -> Map:
        blurred = cv2.GaussianBlur(values * weight, (0, 0), BACKGROUND)
        return np.asarray(
            blurred / np.maximum(cv2.GaussianBlur(weight, (0, 0), BACKGROUND), np.float32(1e-3)), np.float32
        )

    difference = green - mean(green)
    return np.asarray(difference / np.sqrt(mean(difference**2) + np.float32(1.0)) * weight, np.float32)


def _kernel(sigma: float, direction: int) -> Map:
    """Return a valley of zero mean and unit absolute sum, of 9 sigma length, along the `direction`-th of all lines."""
    reach = int(np.ceil(4.5 * sigma))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    angle = np.pi * direction / DIRECTIONS
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    window = (np.abs(across) <= 3 * sigma) & (np.abs(along) <= 4.5 * sigma)
    valley = np.where(window, -np.exp(-(across**2) / (2 * sigma**2)), 0.0)
    valley[window] -= valley[window].mean()
    return (valley / np.abs(valley).sum()).astype(np.float32)


def filter_folder(data: Path) -> list[Path]:
    """Write `data/vessels/NAME.png`, 0 or 255, for every photograph of `data/clean`; returns the files.

    Raises:
        InvalidInput: no photographs there.
    """
    photographs = sorted(path for path in (data / "clean").glob("*") if path.is_file() and path.name[0] != ".")
    if not photographs:
        raise InvalidInput(
            data, got="no file in clean/", expected="photographs in clean/", fix="name the data's folder"
        )
    (data / "vessels").mkdir(exist_ok=True)
    written: list[Path] = []
    for path in photographs:
        eye = read_image(path)
        mask = vessels_by_filter(to_8_bit(eye.pixels), eye.fov)
        written.append(data / "vessels" / f"{path.stem}.png")
        write_png(written[-1], mask.astype(np.uint8) * np.uint8(255))
    return written


def main() -> None:
    """Filter the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    print(f"{len(filter_folder(parser.parse_args().data))} masks written")


if __name__ == "__main__":
    main()
