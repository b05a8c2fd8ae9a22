"""Image to network input. Training and deployment both call these functions; the manifest holds the parameters.

The steps, in order (CMWNet paper, Methods; parameters and order of details are this project's, see
`docs/conventions.md`):

1. `enhance`: 16 bit to 8, CLAHE on lightness, gamma, black outside the field of view; at the image's own size;
2. `fit_to_grid`: nearest-neighbour resize to multiples of the tile size, for the tile branch;
   `shrink_whole`: the whole image at the network's size, for the whole-image branch;
3. `to_tensor`: one uint8 window to the (C, h, w) float32 that a network takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.image import FundusImage
from fundusrt.manifest import ClaheSpec, PreprocessSpec, TileSpec, WholeImageSpec
from fundusrt.tiling import grid_size

__all__ = ["enhance", "fit_to_grid", "shrink_whole", "to_8_bit", "to_tensor"]

Bytes = npt.NDArray[np.uint8]


def enhance(image: FundusImage, spec: PreprocessSpec) -> Bytes:
    """Even out the contrast of an image and blacken what lies outside its field of view.

    Args:
        image: grey or RGB, 8 or 16 bit. A colour image with three equal channels is treated as grey, so that one
            picture gives one answer however it was stored.
        spec: CLAHE and gamma.

    Returns:
        uint8 (H, W), or (H, W, 3) RGB for a coloured image.
    """
    import cv2

    pixels = _drop_equal_channels(to_8_bit(image.pixels))
    if spec.clahe is not None:
        pixels = _clahe(pixels, spec.clahe)
    if spec.gamma != 1.0:
        pixels = _bytes(cv2.LUT(pixels, gamma_table(spec.gamma)))
    if image.fov.all():
        return pixels
    inside = image.fov.view(np.uint8) * np.uint8(255)
    return _bytes(cv2.bitwise_and(pixels, pixels, mask=inside))


def gamma_table(gamma: float) -> Bytes:
    """Return the 256-entry table of out = in^(1/gamma) on [0, 1], rounded half up to uint8."""
    levels = np.arange(256, dtype=np.float64) / 255.0
    return np.floor(255.0 * levels ** (1.0 / gamma) + 0.5).astype(np.uint8)


def fit_to_grid(pixels: Bytes, spec: TileSpec) -> Bytes:
    """Resize (H, W[, 3]) uint8 by nearest neighbour so that both sides are multiples of the tile size.

    Target pixel i takes source pixel floor((2 i + 1) n / (2 m)), in integers: the centre rule without floating point,
    so every language and device picks the same pixels.
    """
    height, width = pixels.shape[:2]
    target = grid_size(height, width, spec.size, spec.round)
    if target == (height, width):
        return pixels
    rows, columns = nearest_index(height, target[0]), nearest_index(width, target[1])
    return np.take(np.take(pixels, rows, axis=0), columns, axis=1)


def nearest_index(source: int, target: int) -> npt.NDArray[np.int64]:
    """Return for each of `target` positions the nearest of `source` positions (pixel centres, exact integers)."""
    return (2 * np.arange(target, dtype=np.int64) + 1) * source // (2 * target)


def shrink_whole(pixels: Bytes, spec: WholeImageSpec) -> Bytes:
    """Resize (H, W[, 3]) uint8 to the (size, size[, 3]) image of the whole-image branch."""
    import cv2

    interpolation = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR}[spec.interpolation]
    return _bytes(cv2.resize(pixels, (spec.size, spec.size), interpolation=interpolation))


def to_tensor(window: Bytes, spec: PreprocessSpec) -> npt.NDArray[np.float32]:
    """Return the (C, h, w) float32 network input of an (h, w[, 3]) uint8 window.

    Grey is repeated over three channels; colour becomes grey by the ITU-R BT.601 luma where the network takes one
    channel.
    """
    if spec.channels == 1 and window.ndim == 3:
        import cv2

        window = _bytes(cv2.cvtColor(window, cv2.COLOR_RGB2GRAY))
    planes = window[None] if window.ndim == 2 else np.moveaxis(window, 2, 0)
    tensor = np.empty((spec.channels, *window.shape[:2]), np.float32)
    np.multiply(planes, np.float32(1.0 / 255.0), out=tensor[: len(planes)])
    tensor[len(planes) :] = tensor[0]
    if any(spec.mean) or any(value != 1.0 for value in spec.std):
        tensor -= np.asarray(spec.mean[: spec.channels], np.float32)[:, None, None]
        tensor /= np.asarray(spec.std[: spec.channels], np.float32)[:, None, None]
    return tensor


def to_8_bit(pixels: npt.NDArray[Any]) -> Bytes:
    """Return uint8 pixels as they are, uint16 ones so that 65535 becomes 255: v / 257 rounded half up, in integers."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _drop_equal_channels(pixels: Bytes) -> Bytes:
    if pixels.ndim == 2:
        return pixels
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return np.ascontiguousarray(green)
    return pixels


def _clahe(pixels: Bytes, spec: ClaheSpec) -> Bytes:
    import cv2

    equaliser = cv2.createCLAHE(clipLimit=spec.clip, tileGridSize=(spec.grid, spec.grid))
    if pixels.ndim == 2:
        return _bytes(equaliser.apply(pixels))
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
    return _bytes(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def _bytes(array: Any) -> Bytes:
    """OpenCV's type stubs do not know the element type; every use here is 8 bit."""
    return np.asarray(array, np.uint8)
