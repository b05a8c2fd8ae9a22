"""The effects themselves: each takes an (H, W, 3) float32 RGB image in [0, 1] and returns one, clipped to [0, 1]."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt_training.data.degradation.record import Blur, Colour, Halo, Hole, Point, Spot

__all__ = ["add_halo", "add_hole", "add_spot", "apply_blur", "apply_colour"]

Image = npt.NDArray[np.float32]
Map = npt.NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_DARK = 0.25  # an image whose mean is not above this gets no hole


def apply_colour(image: Image, draw: Colour) -> Image:
    """Scale; then stretch around the mean luma; then around each pixel's luma."""
    image = _clip(image * np.float32(draw.brightness))
    image = _clip(_blend(image, np.float32((image @ _LUMA).mean()), draw.contrast))
    return _clip(_blend(image, (image @ _LUMA)[..., None], draw.saturation))


def add_halo(image: Image, draw: Halo) -> Image:
    """Add a blurred ring as bright as the image's mean, tinted."""
    shape = image.shape[:2]
    ring = _disc(shape, draw.centre, draw.inner_diameter) ^ _disc(shape, draw.centre, draw.outer_diameter)
    glow = ring.astype(np.float32) * np.float32(image.mean())
    glow = _gaussian(glow, (draw.blur_side, draw.blur_side), 2.0 / 3.0 * draw.blur_side)
    return _clip(image + glow[..., None] * np.array(draw.tint, np.float32))


def add_hole(image: Image, fov: npt.NDArray[np.bool_], draw: Hole) -> Image:
    """Darken a blurred disc, unless the image is dark already."""
    mean = float(image[fov].mean()) if fov.any() else 0.0
    if mean <= _DARK:
        return image
    depth = np.float32(draw.level - draw.share * mean)
    shade = _disc(image.shape[:2], draw.centre, draw.diameter).astype(np.float32) * depth
    return _clip(image + _gaussian(shade, draw.blur_sides, 0.8 * max(draw.blur_sides))[..., None])


def add_spot(image: Image, draw: Spot) -> Image:
    """Add a blurred disc, white."""
    spot = _disc(image.shape[:2], draw.centre, draw.diameter).astype(np.float32) * np.float32(draw.height)
    return _clip(image + _gaussian(spot, draw.blur_sides, draw.sigma)[..., None])


def apply_blur(image: Image, draw: Blur) -> Image:
    """Blur, then add the noise."""
    blurred = _gaussian(image, draw.sides, draw.sigma)
    if draw.noise_sigma > 0:
        noise = np.random.default_rng(draw.noise_seed).standard_normal(image.shape, np.float32)
        blurred = blurred + np.float32(draw.noise_sigma) * noise
    return _clip(blurred)


def _blend(image: Image, towards: Map | np.float32, factor: float) -> Image:
    return towards + np.float32(factor) * (image - towards)


def _disc(shape: tuple[int, ...], centre: Point, diameter: float) -> npt.NDArray[np.bool_]:
    """Return the pixels whose centre lies within int(diameter / 2) px of `centre`."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= int(diameter / 2)


def _gaussian(values: Map, sides: tuple[int, int], sigma: float) -> Map:
    return np.asarray(cv2.GaussianBlur(values, sides, sigma), np.float32)


def _clip(image: npt.NDArray[np.floating]) -> Image:
    return np.clip(image, np.float32(0.0), np.float32(1.0)).astype(np.float32, copy=False)
