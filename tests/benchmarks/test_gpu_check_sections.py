"""The GPU check rehearsed on the fake GPU: it passes there, and each wrong answer that is planted makes it fail."""

from __future__ import annotations

import ctypes
import inspect
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu_check import masks, speed, stress
from benchmarks.gpu_check.__main__ import check
from benchmarks.gpu_check.networks import Networks
from benchmarks.gpu_check.rehearsal import FULL, rehearsal
from benchmarks.gpu_check.report import Report
from fundusrt.cuda.kernels import KernelModule
from fundusrt.cuda.lane import Lane
from fundusrt.image import from_array
from fundusrt.kernels.launches import fuse
from fundusrt.kernels.module import read_record
from fundusrt.manifest import PostprocessSpec
from fundusrt.testing import tiny_image, tiny_manifest
from fundusrt.testing.assembly import bright_judge
from fundusrt.tiling import TileGrid, grid_size
from tests.sdk.cuda.fake_device import fake_device
from tests.sdk.cuda.host_network import HostNetwork

MASK, PROBABILITY = 3, 4  # arguments of frt_fuse
JUDGE = bright_judge(40.0, -28.0)
Plant = Callable[[tuple[Any, ...]], None]


@contextmanager
def planted(plant: Plant | None, host_kernels: Any, patch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A fake GPU on which `plant` changes what the fused pass wrote."""

    def run(name: str, grid: Any, block: Any, arguments: Any) -> None:
        host_kernels(name, grid, block, arguments)
        if name == "frt_fuse" and plant is not None:
            plant(arguments)

    with fake_device(patch, run) as (device, _, _library):
        yield device


def over(function: Callable[[Any], Any] = JUDGE) -> Networks:
    def opened(gpu: Any, bundle: Any, batch: int) -> dict[str, Any]:
        specs = bundle.manifest.networks
        return {name: HostNetwork(function, spec, batch if name == "small" else 1) for name, spec in specs.items()}

    return Networks("functions", {}, opened)


def floats(arguments: tuple[Any, ...]) -> Any:
    if not arguments[PROBABILITY]:  # the mask alone was asked for
        return np.zeros(1, np.float32)
    count = int(arguments[5]) * int(arguments[6])
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(int(arguments[PROBABILITY])))


def one_pixel(arguments: tuple[Any, ...]) -> None:
    """A pixel far from the threshold switches."""
    ctypes.c_uint8.from_address(int(arguments[MASK])).value ^= 255


def far_off(arguments: tuple[Any, ...]) -> None:
    floats(arguments)[0] += 2e-4


def last_digit(arguments: tuple[Any, ...]) -> None:
    floats(arguments)[0] += 1e-5


def mask_alone(arguments: tuple[Any, ...]) -> None:
    if not arguments[PROBABILITY]:
        one_pixel(arguments)


@pytest.mark.parametrize(
    ("plant", "fails"), [(None, False), (last_digit, False), (far_off, True), (one_pixel, True), (mask_alone, True)]
)
def test_masks(
    plant: Plant | None, fails: bool, bundle: Path, host_kernels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks, "load", lambda model: pytest.skip("not reached"))
    with planted(plant, host_kernels, monkeypatch) as device:
        networks, eye = over(), from_array(tiny_image(97, 131))
        monkeypatch.setattr(masks, "load", lambda model: SameAs(device, networks, model))
        figures = masks.masks_agree(device, networks, str(bundle), eye, 3)
    assert bool(figures["failed"]) == fails, figures["failed"]
    assert len(figures["same probabilities"]) == 6


class SameAs:
    """In the place of the certified pipeline, whose networks are others than these functions: the device's own."""

    def __init__(self, device: Any, networks: Networks, model: str) -> None:
        from fundusrt.bundle import Bundle
        from fundusrt.cuda.segmentation import CudaSegmentationPipeline

        bundle = Bundle.open(model)
        runtime = networks.runtime(device, bundle, 3)
        manifest: Any = bundle.manifest
        self.pipeline = CudaSegmentationPipeline(manifest, runtime, dict(masks.IDENTITY))

    def __enter__(self) -> Any:
        return self.pipeline

    def __exit__(self, *_: object) -> None:
        self.pipeline.close()


@pytest.mark.parametrize("steady", [True, False])
def test_threads(steady: bool, bundle: Path, host_kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = itertools.count()

    def now_and_then(batch: Any) -> Any:
        answer = JUDGE(batch)
        if not steady and next(turn) == 20:  # one thread alone takes 6 calls
            answer[0, 0, 3, 3] = 1.0 - answer[0, 0, 3, 3]
        return answer

    with planted(None, host_kernels, monkeypatch) as device:
        figures = stress.threads_agree(
            device,
            over(now_and_then),
            str(bundle),
            from_array(tiny_image(97, 131)),
            threads=4,
            images=3,
            shape=(70, 90),
        )
    assert ("failed" in figures) == (not steady)
    assert figures["answers"] == 12


def test_the_full_check_is_what_was_asked_for() -> None:
    defaults = {name: each.default for name, each in inspect.signature(stress.threads_agree).parameters.items()}
    assert (defaults["threads"], defaults["images"]) == (16, 100)
    assert FULL.stress == {}
    assert FULL.golden == ("leakage", "exudate", "enhance")
    assert (speed.MIN_SHARE_OF_COPY, speed.MAX_SHARE_BESIDE_NETWORKS) == (0.7, 0.15)
    eye = FULL.eye()
    assert eye.height * eye.width > 11.9e6


def test_every_kernel_is_timed(host_kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, eye = tiny_manifest(tile_px=64, whole_px=64), from_array(tiny_image(157, 213))
    grid = TileGrid.cover(*grid_size(eye.height, eye.width, 64), tile=64)
    with fake_device(monkeypatch, host_kernels) as (device, _, _library), device.current():
        kernels = KernelModule(device)
        lane = Lane(device, kernels)
        timed = speed._kernels(lane, manifest, eye, grid, 2)
        lane.close()
        kernels.close()
    assert {launch.kernel for work in timed.values() for launch in work} == set(read_record().kernels)
    post, pixels = PostprocessSpec(), eye.height * eye.width
    plain = fuse(16, 16, 16, eye.height, eye.width, (grid.height, grid.width), 64, (64, 64), post)
    assert timed["fuse"][0].bytes_moved >= plain.bytes_moved
    assert timed["fuse, with probability"][0].bytes_moved - timed["fuse"][0].bytes_moved == 4 * pixels


@pytest.mark.slow
def test_the_rehearsal_passes(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    with rehearsal() as (device, sizes):
        report = Report(tmp_path, 600.0)
        assert check(device, sizes, report, {}) == 0, report.failed
    content = json.loads((tmp_path / "gpu_check.json").read_text())
    states = {name: section["state"] for name, section in content["sections"].items()}
    expected = ["machine", "networks", "masks", "golden vectors", "kernels", "end to end", "threads", "memory"]
    assert states == dict.fromkeys(expected, "passed")
    assert len(content["targets"]) == 4
    page = (tmp_path / "gpu_check.md").read_text()
    assert "Networks: a rehearsal on the CPU." in page
    assert page.count("a rehearsal on the CPU, batch") == 2, "a target says which networks ran"
