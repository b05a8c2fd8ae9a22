"""Twelve generated images that ask something else of each stage: colour, depth, size, field of view."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fundusrt.image import read_image
from fundusrt_training.data.angiogram import generate
from tests.training.synthetic_eye import draw_eye

REAL_IMAGES = "FUNDUSRT_REAL_IMAGES"
"""Environment variable: a folder of further images to compare on."""


@functools.cache
def eye(name: str) -> np.ndarray:
    """Return one of `EYES` or a real image by its name."""
    made = EYES[name]() if name in EYES else read_image(Path(os.environ[REAL_IMAGES]) / name).pixels
    return np.ascontiguousarray(made)


def real_names() -> list[str]:
    """Return the names of the images in the folder that `FUNDUSRT_REAL_IMAGES` names, if any."""
    folder = os.environ.get(REAL_IMAGES)
    return sorted(path.name for path in Path(folder).iterdir() if path.is_file()) if folder else []


def _angiogram(seed: int, height: int, width: int) -> np.ndarray:
    return np.asarray(generate(seed, height=height, width=width).image)


def _photograph(seed: int, height: int, width: int) -> np.ndarray:
    return draw_eye(seed, height, width)[0]


def _with_noisy_surround() -> np.ndarray:
    pixels = _photograph(4, 600, 720).astype(np.int16)
    noise = np.random.default_rng(1).integers(0, 9, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def _montage() -> np.ndarray:
    left, right = _photograph(5, 500, 520), _photograph(6, 500, 520)
    made = np.zeros((640, 900, 3), np.uint8)
    made[:500, :520] = left
    made[140:, 380:] = np.maximum(made[140:, 380:], right)
    return made


def _with_tab() -> np.ndarray:
    pixels = _photograph(7, 640, 640)[40:, :].copy()
    cv2.rectangle(pixels, (600, 250), (620, 268), (200, 200, 200), -1)
    return pixels


EYES: dict[str, Any] = {
    "angiogram": lambda: _angiogram(901, 1200, 1500),
    "angiogram, 16 bit": lambda: _angiogram(902, 900, 1102).astype(np.uint16) * 257 + 33,
    "angiogram, 12 of 16 bits": lambda: _angiogram(903, 1090, 1300).astype(np.uint16) * 16 + 5,
    "angiogram, small": lambda: _angiogram(904, 400, 521),
    "photograph": lambda: _photograph(1, 1401, 1703),
    "photograph, small": lambda: _photograph(2, 150, 180),
    "photograph, 16 bit": lambda: _photograph(3, 700, 803).astype(np.uint16) * 200 + 77,
    "grey stored in colour": lambda: np.repeat(_angiogram(905, 601, 700)[..., None], 3, axis=2),
    "noisy surround": _with_noisy_surround,
    "montage": _montage,
    "filled frame": lambda: _photograph(8, 1000, 1000)[250:760, 240:800],
    "tab and cut rim": _with_tab,
}
"""Each makes its image."""
