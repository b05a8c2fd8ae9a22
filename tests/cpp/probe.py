"""Stages of the C++ library on NumPy arrays (probe.cpp)."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

INTERPOLATIONS = ("area", "bilinear", "cubic", "nearest")
ROUNDINGS = ("nearest", "ceil", "floor")
MODES = ("parallel", "raster", "converge")
ORDERS = ("cgnr_then_fuse", "fuse_then_cgnr", "cgnr_only")
CODES = {2: "invalid-input", 5: "bundle-error"}


class Probe:
    """Calls each C function with the pointers and sizes of arrays."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        for name in ("probe_tiles", "probe_lesions"):
            getattr(self._library, name).restype = ctypes.c_int64
        self._library.probe_open.restype = ctypes.c_void_p
        self._library.probe_array.restype = ctypes.c_void_p

    def call(self, name: str, *arguments: Any) -> Any:
        """Arrays become pointers, floats doubles, whole numbers 64 bits (which the ABI widens for shorter ones)."""
        return getattr(self._library, name)(*(_argument(each) for each in arguments))

    def sha256(self, data: bytes) -> str:
        digest = ctypes.create_string_buffer(65)
        self.call("probe_sha256", data, len(data), digest)
        return digest.value.decode()

    def resize(self, image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
        channels = 1 if image.ndim == 2 else 3
        made = np.empty((height, width, *image.shape[2:]), np.uint8)
        kind = INTERPOLATIONS.index(interpolation)
        self.call("probe_resize", image, *image.shape[:2], channels, made, height, width, kind)
        return made

    def resize_float(self, values: np.ndarray, height: int, width: int) -> np.ndarray:
        made = np.empty((height, width), np.float32)
        self.call("probe_resize_float", values, *values.shape, made, height, width)
        return made

    def averaged(self, image: np.ndarray, factor: int) -> np.ndarray:
        height, width = image.shape[0] // factor, image.shape[1] // factor
        made = np.empty((height, width, *image.shape[2:]), image.dtype)
        channels = 1 if image.ndim == 2 else 3
        self.call("probe_averaged", image, image.itemsize * 8, *image.shape[:2], channels, factor, made)
        return made

    def shape(self, mask: np.ndarray, operation: str, reach: int = 0) -> np.ndarray:
        made = np.empty_like(mask)
        self.call("probe_shape", mask, *mask.shape, operation.encode(), reach, made)
        return made

    def distance(self, mask: np.ndarray) -> np.ndarray:
        made = np.empty(mask.shape, np.float32)
        self.call("probe_distance", mask, *mask.shape, made)
        return made

    def field(self, pixels: np.ndarray) -> np.ndarray:
        made = np.empty(pixels.shape[:2], np.uint8)
        self.call("probe_field", pixels, *pixels.shape[:2], _channels(pixels), pixels.itemsize * 8, made)
        return made > 0

    def enhance(self, pixels: np.ndarray, field: np.ndarray, clip: float, grid: int, gamma: float) -> np.ndarray:
        made = np.empty(pixels.shape, np.uint8)
        size, kind = pixels.shape[:2], (_channels(pixels), pixels.itemsize * 8)
        inside = field.astype(np.uint8)
        planes = self.call("probe_enhance", pixels, inside, *size, *kind, clip, grid, gamma, made)
        return made.reshape(-1)[: size[0] * size[1] * planes].reshape(*size, planes).squeeze()

    def tensor(self, window: np.ndarray, planes: int, mean: Any, deviation: Any) -> np.ndarray:
        made = np.empty((planes, *window.shape[:2]), np.float32)
        statistics = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
        self.call("probe_tensor", window, *window.shape[:2], _channels(window), planes, *statistics, made)
        return made

    def tiles(self, height: int, width: int, tile: int, overlap: int) -> list[tuple[int, ...]]:
        made = np.empty((4096, 6), np.int64)
        count = self.call("probe_tiles", height, width, tile, overlap, len(made), made)
        assert 0 < count <= len(made), count
        return [tuple(int(number) for number in row) for row in made[:count]]

    def grid_size(self, height: int, width: int, tile: int, rounding: str) -> tuple[int, int]:
        made = np.empty(2, np.int64)
        self.call("probe_grid_size", height, width, tile, ROUNDINGS.index(rounding), made)
        return int(made[0]), int(made[1])

    def stitch(self, tiles: np.ndarray, height: int, width: int, overlap: int) -> np.ndarray:
        made = np.empty((height, width), np.float32)
        self.call("probe_stitch", tiles, height, width, tiles.shape[1], overlap, made)
        return made

    def cgnr(self, base: np.ndarray, guide: np.ndarray, mode: str) -> np.ndarray:
        made = np.empty_like(base)
        assert self.call("probe_cgnr", base, guide, *base.shape, MODES.index(mode), made) == 0
        return made

    def fuse(self, small: np.ndarray, large: np.ndarray, spec: Any) -> np.ndarray | str:
        made = np.empty_like(small)
        switches = ORDERS.index(spec.order), int(spec.cgnr.enabled), MODES.index(spec.cgnr.mode)
        code = self.call("probe_fuse", small, large, *small.shape, spec.threshold, spec.w_large, *switches, made)
        return made if code == 0 else CODES[code]

    def lesions(self, mask: np.ndarray, probability: np.ndarray, mm_per_px: float) -> np.ndarray:
        made = np.empty((mask.size // 2 + 1, 9), np.float64)
        count = self.call(
            "probe_lesions", mask.astype(np.uint8) * 255, probability, *mask.shape, mm_per_px, len(made), made
        )
        return made[:count]

    def preprocessed(self, bundle: Path, pixels: np.ndarray, stages: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return the pre-processed arrays of a bundle's pipeline."""
        opened = ctypes.c_void_p(self.call("probe_open", str(bundle).encode()))
        self.call("probe_preprocess", opened, pixels, *pixels.shape[:2], _channels(pixels), pixels.itemsize * 8)
        made: dict[str, np.ndarray] = {}
        for stage in stages:
            size = np.empty(3, np.int64)
            at = self.call("probe_array", opened, stage.encode(), size)
            count = int(size.prod())
            values = np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(at)).copy()
            made[stage] = values.reshape(size).squeeze(2) if size[2] == 1 else values.reshape(size)
        self.call("probe_close", opened)
        return made


def _channels(pixels: np.ndarray) -> int:
    return 1 if pixels.ndim == 2 else 3


def _argument(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, float):
        return ctypes.c_double(value)
    return ctypes.c_int64(value) if isinstance(value, int | np.integer) else value
