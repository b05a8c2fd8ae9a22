"""The frame around the field of view: cut it out, resize it for a network, and bring maps of it back.

    image (H, W)     the field's bounding box, widened to the shape of the network's input, centred
      +------------+
      |  +------+  |        cut          +-------+  network   +----------+     to_native     image (H, W):
      |  | eye  |  |  ---------------->  | frame |  ------->  | a map of |  -------------->  0 outside the frame
      |  +------+  |  black where the    +-------+            | any size |  bilinear or
      +------------+  frame leaves the                        +----------+  nearest
                      image

All resizing is at pixel centres: pixel i of n covers [i, i + 1) / n of the frame (align_corners False).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput
from fundusrt.image import FundusImage
from fundusrt.manifest import FrameSpec
from fundusrt.preprocess import nearest_index

__all__ = ["MAX_FRAME_PX", "FieldFrame"]

Bytes = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

MAX_FRAME_PX = 2**28
"""Most pixels of a frame in the image: the square around a long strip would be more than there is memory for."""


@dataclass(frozen=True, slots=True)
class FieldFrame:
    """A rectangle in an image, and the size it is resized to. Make one with `around`.

    Attributes:
        top: first row in the image; negative where the frame begins above it.
        left: first column, likewise.
        height: rows in the image, px.
        width: columns in the image, px.
        image_px: height and width of the image.
        spec: size and interpolation of the network's input.
    """

    top: int
    left: int
    height: int
    width: int
    image_px: tuple[int, int]
    spec: FrameSpec

    @classmethod
    def around(cls, eye: FundusImage, spec: FrameSpec) -> Self:
        """Return the smallest frame of the specified shape around the field of view of an image.

        It is centred on the field's bounding box; an odd pixel goes below or to the right. A shape that whole pixels
        cannot give exactly is rounded outwards.

        Raises:
            InvalidInput: no field of view, or one so long and narrow that its frame exceeds `MAX_FRAME_PX`.
        """
        rows, columns = np.flatnonzero(eye.fov.any(axis=1)), np.flatnonzero(eye.fov.any(axis=0))
        if not len(rows):
            raise InvalidInput(
                eye.source_id,
                got="no field of view",
                expected="an image of an eye",
                fix="pass another image, or its field of view",
            )
        top, left = int(rows[0]), int(columns[0])
        field = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
        height, width = _widened(field, (spec.height_px, spec.width_px))
        if height * width > MAX_FRAME_PX:
            raise InvalidInput(
                eye.source_id,
                got=f"a field of view of {field[0]} x {field[1]} px, whose frame is {height} x {width} px",
                expected=f"a frame of at most {MAX_FRAME_PX / 1e6:.0f} megapixels",
                fix="crop the image to one eye",
            )
        top, left = top - (height - field[0]) // 2, left - (width - field[1]) // 2
        return cls(top, left, height, width, (eye.height, eye.width), spec)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Half-open box (y0, x0, y1, x1) in px of the image."""
        return self.top, self.left, self.top + self.height, self.left + self.width

    def cut(self, pixels: Bytes, fov: npt.NDArray[np.bool_]) -> Bytes:
        """Return the frame as the network sees it.

        Args:
            pixels: (H, W) grey or (H, W, 3) RGB, the image.
            fov: (H, W), its field of view.

        Returns:
            (height_px, width_px[, 3]) uint8. With `outside` black, pixels outside the field of view are 0 before the
            resize, so that nothing of them comes in, and after it.
        """
        import cv2

        black = self.spec.outside == "black"
        native = self._native(pixels)
        if black:
            native[~self._native(fov)] = 0
        size = self.spec.width_px, self.spec.height_px
        shrinks = self.height >= self.spec.height_px
        name = self.spec.shrink if shrinks else self.spec.enlarge
        interpolation = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}[name]
        frame = np.asarray(cv2.resize(native, size, interpolation=interpolation), np.uint8)
        if black:
            frame[~self.cut_field(fov)] = 0
        return frame

    def cut_field(self, fov: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return which pixels of the frame lie in the field of view, (height_px, width_px) bool, by the nearest one.

        Args:
            fov: (H, W), of the image.
        """
        return _nearest(self._native(fov), self.spec.height_px, self.spec.width_px)

    def to_native(self, values: Map, interpolation: Literal["bilinear", "nearest"] = "bilinear") -> Map:
        """Resize a map of the frame to the frame's size in the image and put it in its place.

        Args:
            values: (h, w) float32 of any size; it covers the whole frame.
            interpolation: between the map's values.

        Returns:
            (H, W) float32 of the image's size; 0 outside the frame.
        """
        import cv2

        if interpolation == "nearest":
            resized = _nearest(values, self.height, self.width)
        else:
            resized = np.asarray(
                cv2.resize(values, (self.width, self.height), interpolation=cv2.INTER_LINEAR), np.float32
            )
        inside, here = self._overlap()
        if resized[here].shape == self.image_px:
            return np.ascontiguousarray(resized[here])
        native = np.zeros(self.image_px, np.float32)
        native[inside] = resized[here]
        return native

    def _native(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the frame of an (H, W[, C]) array at the image's scale; 0 beyond its border."""
        inside, here = self._overlap()
        native = np.zeros((self.height, self.width, *array.shape[2:]), array.dtype)
        native[here] = array[inside]
        return native

    def _overlap(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the part of the frame that lies in the image: where it is in the image, and where in the frame."""
        y0, x0, y1, x1 = self.box
        y0, x0, y1, x1 = max(y0, 0), max(x0, 0), min(y1, self.image_px[0]), min(x1, self.image_px[1])
        here = slice(y0 - self.top, y1 - self.top), slice(x0 - self.left, x1 - self.left)
        return (slice(y0, y1), slice(x0, x1)), here


def _widened(field: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest (height, width) px in the ratio of `shape` that holds `field`."""
    if field[0] * shape[1] >= field[1] * shape[0]:
        return field[0], -(-field[0] * shape[1] // shape[0])
    return -(-field[1] * shape[0] // shape[1]), field[1]


def _nearest(values: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    rows, columns = nearest_index(values.shape[0], height), nearest_index(values.shape[1], width)
    return np.take(np.take(values, rows, axis=0), columns, axis=1)
