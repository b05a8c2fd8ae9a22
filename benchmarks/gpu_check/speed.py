"""How fast: a copy within the device, each kernel beside it, and an image from host array to host mask."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.gpu_check.masks import IDENTITY
from benchmarks.gpu_check.networks import Networks
from benchmarks.gpu_check.report import at_least, at_most
from fundusrt.bundle import Bundle
from fundusrt.cuda import stages
from fundusrt.cuda.driver import CudaDevice
from fundusrt.cuda.kernels import KernelModule
from fundusrt.cuda.lane import Lane
from fundusrt.cuda.segmentation import CudaSegmentationPipeline
from fundusrt.image import FundusImage
from fundusrt.kernels import launches, tables
from fundusrt.kernels.launch import Launch
from fundusrt.preprocess import gamma_table
from fundusrt.stages import StageTimer
from fundusrt.tiling import TileGrid, grid_size

__all__ = ["copy_and_kernels", "end_to_end"]

MIN_SHARE_OF_COPY = 0.7
MAX_SHARE_BESIDE_NETWORKS = 0.15
_KNOWN, _FOUND = "mask, field of view known", "mask, field of view found"
_FLUSH_BYTES = 2**28  # more than any GPU's L2 cache


def copy_and_kernels(
    device: CudaDevice, model: str, eye: FundusImage, *, rounds: int = 21, copy_bytes: int = 2**30, batch: int = 8
) -> dict[str, Any]:
    """Time each kernel on an image of this size with a cold cache, beside a copy measured in the same run.

    Bytes of a kernel are those it has to read and write once (`Launch.bytes_moved`). `of large copy`: its bandwidth
    over that of a copy of 1 GiB; `of equal copy`: over that of a copy which moves as many bytes, which counts the start
    of a kernel on both sides. Medians of single timed runs; before each, 256 MiB are written to empty the cache.
    """
    manifest: Any = Bundle.open(model).manifest
    grid = TileGrid.cover(*grid_size(eye.height, eye.width, manifest.tile.size), tile=manifest.tile.size)
    with device.current():
        kernels = KernelModule(device)
        lane = Lane(device, kernels)
        flush = lane.array("flush", (_FLUSH_BYTES if copy_bytes >= _FLUSH_BYTES else copy_bytes,), np.uint8)

        def timed(work: Callable[[], None], before: Callable[[], None] = lambda: None) -> float:
            times: list[float] = []
            for turn in range(rounds + 2):
                before()
                lane.zero(flush)
                start = lane.event()
                work()
                end = lane.event()
                lane.synchronize()
                if turn >= 2:
                    times.append(float(end.time_since(start)))
            return statistics.median(times)

        source = lane.array("copy from", (copy_bytes,), np.uint8)
        target = lane.array("copy to", (copy_bytes,), np.uint8)
        copy_ms = timed(lambda: lane.copy(source, target))
        large = 2 * copy_bytes / copy_ms / 1e6
        rows: list[dict[str, Any]] = []
        for name, work in _kernels(lane, manifest, eye, grid, batch).items():
            moved = sum(each.bytes_moved for each in work)
            ms = timed(lambda work=work: lane.run(*work))
            half = max(1, min(copy_bytes, moved // 2))
            equal_ms = timed(lambda half=half: lane.copy(source_of(source, half), source_of(target, half)))
            speed, equal = moved / ms / 1e6, 2 * half / equal_ms / 1e6
            rows.append(
                {
                    "stage": name,
                    "kernels": len(work),
                    "us": 1000.0 * ms,
                    "MB": moved / 1e6,
                    "GB/s": speed,
                    "of large copy": speed / large,
                    "of equal copy": speed / equal,
                }
            )
        lane.close()
        kernels.close()
    fused = next(row for row in rows if row["stage"] == "fuse")
    return {
        f"copy of {copy_bytes / 2**20:g} MiB, GB/s read and written": large,
        "kernels": rows,
        "targets": [
            at_least(f"fused post-processing, bandwidth {kind}", fused[kind], MIN_SHARE_OF_COPY)
            for kind in ("of large copy", "of equal copy")
        ],
    }


def source_of(array: Any, nbytes: int) -> Any:
    """Return the first bytes of a device array."""
    return array.first(nbytes)


def _kernels(lane: Lane, manifest: Any, eye: FundusImage, grid: TileGrid, batch: int) -> dict[str, list[Launch]]:
    """Return the launches of each stage on device arrays of this image's size."""
    height, width = eye.height, eye.width
    spec, post = manifest.preprocess, manifest.postprocess
    pixels = height * width
    grey = eye.pixels if eye.pixels.ndim == 2 else np.ascontiguousarray(eye.pixels[..., 1])
    grey = grey if grey.dtype == np.uint8 else (grey >> 8).astype(np.uint8)
    random = np.random.default_rng(0)

    def made(name: str, shape: tuple[int, ...], kind: Any = np.uint8) -> int:
        return lane.array(f"timed {name}", shape, kind).address

    src = lane.upload("timed grey", grey)[0].address
    rgb = lane.upload("timed rgb", np.repeat(grey[..., None], 3, axis=2))[0].address
    deep = lane.upload("timed deep", grey.astype(np.uint16) * np.uint16(257))[0].address
    bits = stages.pack_field(eye.fov)
    field = 0 if bits is None else lane.upload("timed field", bits)[0].address
    maps = random.random((len(grid), grid.tile, grid.tile), np.float32)
    tiles = lane.upload("timed tiles", maps)[0].address
    large_px = (manifest.whole_image.size,) * 2
    p_large = lane.upload("timed large", random.random(large_px, np.float32))[0].address
    lane.synchronize()
    scratch = launches.EnhanceScratch(
        gamma=lane.constant("gamma", gamma_table(spec.gamma)).address,
        histograms=made("histograms", (max(1, launches.histogram_bytes(spec)),)),
        luts=made("luts", (64 * 64 * 256,)),
        field=field,
        lab=made("lab", (pixels, 3)),
        lab_tables=lane.constant("lab", tables.lab()).address,
    )
    out, out3, flag = made("out", (pixels,)), made("out3", (pixels, 3)), made("flag", (1,), np.uint32)
    table = lane.constant("normalisation", tables.normalisation(spec)).address
    half_table = lane.constant("half normalisation", tables.normalisation(spec, half=True)).address
    tensors = made("tensors", (batch, spec.channels, grid.tile, grid.tile), np.float32)
    grid_px = (grid.height, grid.width)
    cut = (src, tensors, height, width, 1, grid_px, grid.tile, 0, batch, spec)
    fuse = (tiles, p_large, out, height, width, grid_px, grid.tile, large_px, post)
    probability = made("probability", (pixels,), np.float32)
    whole = made("whole", (*large_px, 3))
    # Ways that this image does not take.
    plain = spec.model_copy(update={"clahe": None})
    bilinear = manifest.whole_image.model_copy(update={"interpolation": "bilinear"})
    multiple = tuple(length // side * side or length for side, length in zip(large_px, (height, width), strict=True))
    found = {
        "to_8_bit": [launches.reduce_16(deep, out, pixels)],
        "channels_differ": [launches.channels_differ(rgb, pixels, flag)],
        "pick_channel": [launches.pick_channel(rgb, out, pixels, 1)],
        "enhance, grey": launches.enhance_grey(src, out, height, width, spec, scratch),
        "enhance, colour": launches.enhance_colour(rgb, out3, height, width, spec, scratch),
        "enhance, colour, contrast as it is": launches.enhance_colour(rgb, out3, height, width, plain, scratch),
        "shrink_whole": [launches.shrink_whole(src, whole, height, width, 1, manifest.whole_image)],
        "shrink_whole, by whole factors": [launches.shrink_whole(src, whole, *multiple, 1, manifest.whole_image)],
        "shrink_whole, bilinear": [launches.shrink_whole(src, whole, height, width, 1, bilinear)],
        f"gather, {batch} tiles": [launches.gather(*cut, table)],
        f"gather, {batch} tiles, fp16": [launches.gather(*cut, half_table, half=True)],
        "check_range": [launches.check_range(tiles, maps.size, flag)],
        "stitch": [launches.stitch(tiles, made("stitched", grid_px, np.float32), grid)],
        "fuse": [launches.fuse(*fuse, field=field)],
        "fuse, with probability": [launches.fuse(*fuse, field=field, probability=probability)],
    }
    for name in ("enhance, grey", "enhance, colour"):
        found |= {f"{name}: {each.kernel}": [each] for each in found[name]} if len(found[name]) > 1 else {}
    return found


def end_to_end(
    device: CudaDevice,
    networks: Networks,
    model: str,
    eye: FundusImage,
    *,
    batches: tuple[int, ...] = (8, 16),
    rounds: int = 11,
) -> dict[str, Any]:
    """Time host array to host mask: the field of view known, to be found, and the whole result with its lesions.

    `beside networks`: share of the wall time that the network calls, timed by events on the stream, do not account for.
    Medians.
    """
    bundle = Bundle.open(model)
    rows: list[dict[str, Any]] = []
    parts: dict[str, Any] = {}
    memory: list[str] = []
    for batch in batches:
        with device.current():
            before = device.free_memory()[0]
        runtime = networks.runtime(device, bundle, batch)
        manifest: Any = bundle.manifest
        with CudaSegmentationPipeline(manifest, runtime, dict(IDENTITY)) as pipeline:
            ways: dict[str, Callable[[], dict[str, float]]] = {
                _KNOWN: lambda: _masked(pipeline, eye),
                _FOUND: lambda: _masked(pipeline, eye.pixels),
                "result with probability and lesions": lambda: pipeline(eye).timings_ms,
            }
            for way, run in ways.items():
                walls: list[float] = []
                stage_ms: list[dict[str, float]] = []
                for turn in range(rounds + 2):
                    start = time.perf_counter()
                    stage = run()
                    wall = 1000.0 * (time.perf_counter() - start)
                    if turn >= 2:
                        walls.append(wall)
                        stage_ms.append(stage)
                median = {name: statistics.median(each[name] for each in stage_ms) for name in stage_ms[0]}
                in_networks = sum(ms for name, ms in median.items() if name.startswith("network"))
                wall = statistics.median(walls)
                rows.append(
                    {
                        "way": way,
                        "batch": batch,
                        "ms": wall,
                        "ms, fastest to slowest": f"{min(walls):.2f} to {max(walls):.2f}",
                        "networks ms": in_networks,
                        "beside networks": 1.0 - in_networks / wall,
                    }
                )
                parts[f"{way}, batch {batch}"] = median
            with device.current():
                memory.append(f"batch {batch}: {(before - device.free_memory()[0]) / 2**20:.0f} MiB with one lane used")
    fastest = [min((row for row in rows if row["way"] == way), key=lambda row: row["ms"]) for way in (_KNOWN, _FOUND)]
    return {
        "image": f"{eye.height} x {eye.width} px, {eye.pixels.dtype}, {rows and len(rows) // 3} batches",
        "ways": rows,
        "stage ms": [{"way": way, **{name: round(ms, 3) for name, ms in part.items()}} for way, part in parts.items()],
        "device memory": memory,
        "targets": [
            at_most(
                f"{row['way']}, {row['ms']:.1f} ms: all but the networks ({networks.used}, batch {row['batch']})",
                row["beside networks"],
                MAX_SHARE_BESIDE_NETWORKS,
            )
            for row in fastest
        ],
    }


def _masked(pipeline: CudaSegmentationPipeline, image: Any) -> dict[str, float]:
    timer = StageTimer()
    pipeline.mask(image, timer)
    return timer.ms
