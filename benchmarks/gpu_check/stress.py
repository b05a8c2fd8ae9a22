"""Many threads on one pipeline: the same set of hashes as one thread, and how many images a second."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.gpu_check.masks import IDENTITY
from benchmarks.gpu_check.networks import Networks
from fundusrt.bundle import Bundle
from fundusrt.cuda.driver import CudaDevice
from fundusrt.cuda.segmentation import CudaSegmentationPipeline
from fundusrt.image import FundusImage

__all__ = ["threads_agree"]


def threads_agree(
    device: CudaDevice,
    networks: Networks,
    model: str,
    eye: FundusImage,
    *,
    threads: int = 16,
    images: int = 100,
    shape: tuple[int, int] = (512, 640),
    batch: int = 2,
    lanes: int = 4,
    limit_s: float = 60.0,
) -> dict[str, Any]:
    """Let each of the threads segment every image, each beginning elsewhere; compare with one thread's answers.

    Args:
        device: the GPU.
        networks: what runs networks here.
        model: a CMWNet bundle.
        eye: images are windows of it.
        threads: at a time.
        images: of different content.
        shape: height and width of an image, px.
        batch: tiles of one run.
        lanes: of the pipeline.
        limit_s: a thread that has not finished by then stops; the count says how far it came.
    """
    bundle = Bundle.open(model)
    manifest: Any = bundle.manifest
    eyes = windows(eye, images, shape)
    with CudaSegmentationPipeline(manifest, networks.runtime(device, bundle, batch, lanes), dict(IDENTITY)) as pipeline:
        alone_began = time.perf_counter()
        expected = [digest(pipeline, each) for each in eyes]
        alone = time.perf_counter() - alone_began
        together = threading.Barrier(threads)
        end = time.monotonic() + limit_s

        def work(number: int) -> list[tuple[int, bytes]]:
            together.wait()
            found: list[tuple[int, bytes]] = []
            for turn in range(images):
                if time.monotonic() > end:
                    break
                index = (number * 7 + turn) % images
                found.append((index, digest(pipeline, eyes[index])))
            return found

        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            answers = [answer for part in pool.map(work, range(threads)) for answer in part]
        spent = time.perf_counter() - began
        with device.current():
            free, total = device.free_memory()
    wrong = sum(found != expected[index] for index, found in answers)
    figures = {
        "what": f"{threads} threads x {images} images of {shape[0]} x {shape[1]} px, batch {batch}, {lanes} lanes",
        "answers": len(answers),
        "answers wrong": wrong,
        "hashes": len({found for _, found in answers}),
        "hashes of one thread": len(set(expected)),
        "images a second, one thread": images / alone,
        f"images a second, {threads} threads": len(answers) / spent,
        "device memory used MiB": round((total - free) / 2**20),
    }
    if wrong or len(answers) != threads * images:
        figures["failed"] = [f"{wrong} wrong answers, {len(answers)} of {threads * images} within {limit_s:g} s"]
    return figures


def digest(pipeline: CudaSegmentationPipeline, eye: FundusImage) -> bytes:
    """Return the hash of an image's mask and probability."""
    result = pipeline(eye)
    return hashlib.sha256(np.packbits(result.mask).tobytes() + result.probability.tobytes()).digest()


def windows(eye: FundusImage, count: int, shape: tuple[int, int]) -> Sequence[FundusImage]:
    """Return windows of an image, spread over it, all their pixels inside the field of view."""
    pixels = eye.pixels if eye.pixels.ndim == 2 else np.ascontiguousarray(eye.pixels[..., 1])
    height, width = shape[0], shape[1]
    random = np.random.default_rng(0)
    found: list[FundusImage] = []
    for number in range(count):
        y = int(random.integers(0, max(1, eye.height - height + 1)))
        x = int(random.integers(0, max(1, eye.width - width + 1)))
        cut = np.ascontiguousarray(pixels[y : y + height, x : x + width])
        found.append(FundusImage(cut, np.ones(cut.shape, bool), f"window {number}"))
    return found
