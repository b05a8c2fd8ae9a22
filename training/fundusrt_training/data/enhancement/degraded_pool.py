"""Degradations made beforehand: of each good photograph a fixed number, kept in the cache as arrays.

    variant of (photograph, number) -> [another camera] -> degraded;  flipped when it is drawn

Degrading costs a core more time than a GPU takes for its step. A pool costs that once, and runs that differ in their
network alone see the same pairs. Which pairs it holds follows from the photograph, not from the run's seed.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt_training import configuration
from fundusrt_training.data.cached_array import cached_array
from fundusrt_training.data.camera import CameraAugmentation, through_another_camera
from fundusrt_training.data.degradation import Degradation, DegradationConfig, degrade_8_bit, draw_degradation
from fundusrt_training.data.framed_eye import FramedEye

__all__ = ["degraded_pool", "pair_degradation", "pool_seed", "read_variant"]

Bytes = npt.NDArray[np.uint8]
# Raise when the arrays change meaning.
VERSION = 1


def degraded_pool(
    eyes: Sequence[FramedEye],
    count: int,
    config: DegradationConfig,
    camera: CameraAugmentation,
    cache: Path,
    workers: int = 0,
) -> list[Path]:
    """Return an array file of each photograph, (count, side, side, 6) uint8: degraded RGB, good RGB.

    Args:
        eyes: good photographs.
        count: degradations of each.
        config: ranges of the degradation.
        camera: what another camera changes before; the good image shows it too.
        cache: folder of the cache.
        workers: processes that make what the cache lacks; 0 makes it in this one.

    Raises:
        OutputError: the cache cannot be written.
    """
    make = partial(_pool_of, count=count, config=config, camera=camera, cache=cache)
    if workers == 0:
        return [make(eye) for eye in eyes]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        return list(pool.map(make, eyes))


def read_variant(file: Path, variant: int) -> tuple[Bytes, Bytes]:
    """Return the degraded and the good image, (side, side, 3) RGB uint8, of one variant of a pool's file."""
    both = np.load(file, mmap_mode="r")[variant]
    return np.asarray(both[..., :3]), np.asarray(both[..., 3:])


def pool_seed(eye: FramedEye, variant: int) -> tuple[int, ...]:
    """Return the seed of one variant: `pair_degradation` tells from it what was done."""
    return int(eye.sha256["image"][:8], 16), variant


def pair_degradation(seed: tuple[int, ...], side: int, config: DegradationConfig) -> Degradation:
    """Return what is done to the photograph of a draw: one of the seven types, all alike.

    Args:
        seed: of the draw.
        side: px of the frame.
        config: ranges.
    """
    return draw_degradation(np.random.default_rng((*seed, 1)), side, side, config=config)


def _pool_of(eye: FramedEye, count: int, config: DegradationConfig, camera: CameraAugmentation, cache: Path) -> Path:
    clean, fov, _ = eye.read()
    side = clean.shape[0]

    def make() -> Bytes:
        made = np.empty((count, side, side, 6), np.uint8)
        for variant in range(count):
            seed = pool_seed(eye, variant)
            good = through_another_camera(np.ascontiguousarray(clean), camera, (*seed, 2))
            made[variant, ..., :3] = degrade_8_bit(good, fov, pair_degradation(seed, side, config))
            made[variant, ..., 3:] = good
        return made

    identity = {
        "degraded_pool": VERSION,
        "count": count,
        "side": side,
        "degradation": configuration.to_dict(config),
        "camera": configuration.to_dict(camera),
        "sha256": {role: digest for role, digest in eye.sha256.items() if role != "vessels"},
    }
    return cached_array(cache, identity, make)
