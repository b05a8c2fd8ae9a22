"""CMWNet with every stage on the device answers what the CPU's pipeline answers, and counts what it moves."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from fundusrt.cuda.runtime import CudaRuntime
from fundusrt.cuda.segmentation import CudaSegmentationPipeline
from fundusrt.errors import BackendUnavailable
from fundusrt.image import FundusImage, from_array
from fundusrt.manifest import CgnrSpec, PostprocessSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.testing import fake_pipeline, tiny_image, tiny_manifest
from fundusrt.testing.assembly import IDENTITY, bright_judge
from tests.sdk.cuda.fake_cuda import FakeCuda
from tests.sdk.cuda.fake_device import fake_device
from tests.sdk.cuda.host_network import HostNetwork
from tests.sdk.cuda.stage_cases import field, picture

LARGE, SMALL = bright_judge(12.0, -7.2), bright_judge(40.0, -28.0)
OPTIONS: dict[str, Any] = {"tile_px": 64, "whole_px": 48}


@pytest.fixture
def opened(host_kernels: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Open the pipelines of both devices over the same functions; everything is freed at the end."""

    @contextmanager
    def both(
        large: Any = LARGE, small: Any = SMALL, *, batch: int = 3, lanes: int = 2, memory: int = 2**40, **options: Any
    ) -> Iterator[tuple[SegmentationPipeline, CudaSegmentationPipeline, FakeCuda]]:
        manifest = tiny_manifest(**OPTIONS, **options)
        on_cpu = fake_pipeline(manifest, large, small)
        with fake_device(monkeypatch, host_kernels, memory=memory) as (device, cuda, _):
            networks = {
                "large": HostNetwork(large, manifest.networks["large"]),
                "small": HostNetwork(small, manifest.networks["small"], batch),
            }
            runtime = CudaRuntime(device, lambda _: networks, lanes=lanes)
            with CudaSegmentationPipeline(manifest, runtime, dict(IDENTITY)) as on_gpu:
                yield on_cpu, on_gpu, cuda
            cuda.assert_clean()

    return both


def same(a: Any, b: Any) -> None:
    assert np.array_equal(a.mask, b.mask)
    assert np.array_equal(a.probability, b.probability)
    assert a.probability.dtype == b.probability.dtype
    assert a.lesions == b.lesions


EYES = {
    "grey": lambda: from_array(tiny_image()),
    "odd": lambda: FundusImage(picture(157, 213), field(157, 213), "odd"),
    "narrow": lambda: from_array(picture(33, 250), fov=np.ones((33, 250), bool)),
    "colour": lambda: FundusImage(picture(131, 97, 3), field(131, 97), "colour"),
    "equal channels": lambda: FundusImage(np.repeat(picture(131, 97)[..., None], 3, 2), field(131, 97), "equal"),
    "16 bit": lambda: FundusImage(picture(131, 97, dtype=np.uint16), field(131, 97), "deep"),
    "16 bit colour": lambda: FundusImage(picture(131, 97, 3, dtype=np.uint16), field(131, 97), "deep"),
    "a whole number of tiles": lambda: from_array(picture(128, 192), fov=np.ones((128, 192), bool)),
}


@pytest.mark.parametrize("name", EYES)
def test_the_answer_is_the_cpus(name: str, opened: Callable[..., Any]) -> None:
    eye = EYES[name]()
    with opened() as (on_cpu, on_gpu, _):
        expected, made = on_cpu(eye), on_gpu(eye)
        same(expected, made)
        assert made.mask.any()
        assert not made.mask.all()
        assert np.array_equal(on_gpu.mask(eye), made.mask)
        assert (made.provenance.grid_px, made.provenance.tiles) == (
            expected.provenance.grid_px,
            expected.provenance.tiles,
        )


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_the_batch_changes_nothing(batch: int, opened: Callable[..., Any]) -> None:
    with opened(batch=batch) as (on_cpu, on_gpu, _):
        same(on_cpu(tiny_image()), on_gpu(tiny_image()))


@pytest.mark.parametrize(
    ("options", "stays"),
    [
        ({"order": "fuse_then_cgnr"}, ()),
        ({"order": "cgnr_only"}, ()),
        ({"cgnr": CgnrSpec(enabled=False)}, ()),
        ({"cgnr": CgnrSpec(mode="raster")}, ("upsample", "cgnr", "fuse")),
        ({"cgnr": CgnrSpec(mode="converge")}, ("upsample", "cgnr", "fuse")),
        ({"upsample_on": "logit"}, ("upsample", "cgnr", "fuse")),
    ],
)
def test_what_stays_on_the_cpu_is_said(options: Any, stays: tuple[str, ...], opened: Callable[..., Any]) -> None:
    eye = EYES["odd"]()
    with opened(postprocess=PostprocessSpec(**options)) as (on_cpu, on_gpu, _):
        made = on_gpu(eye)
        same(on_cpu(eye), made)
        assert made.provenance.gpu.on_cpu == ("decode", "field", *stays, "lesions")
        assert set(stays) <= set(made.timings_ms)
        assert np.array_equal(on_gpu.mask(eye), made.mask)


def test_one_upload_and_one_download(opened: Callable[..., Any]) -> None:
    eye = EYES["odd"]()
    height, width = eye.pixels.shape
    with opened() as (_, on_gpu, cuda):
        on_gpu(eye)  # tables go up once
        before = cuda.uploaded, cuda.downloaded
        timer_free = on_gpu.mask(eye)
        sent, got = cuda.uploaded - before[0], cuda.downloaded - before[1]
        # Image and field of view by the bit; the mask and a flag for each network.
        assert sent == height * width + height * -(-width // 8)
        assert got == -(-height * width // 4) * 4 + 8
        before = cuda.uploaded, cuda.downloaded
        work = on_gpu(eye).provenance.gpu
        assert (work.uploads, work.downloads) == (1, 2)
        assert work.downloaded_bytes == cuda.downloaded - before[1] == got + 4 * height * width
        assert sent <= work.uploaded_bytes < sent + 256  # parts begin at multiples of 256
        assert work.name == "Fake GPU"
        assert timer_free.any()


def test_the_stages_have_their_names(opened: Callable[..., Any]) -> None:
    with opened() as (_, on_gpu, _cuda):
        stages = ["decode", "field", "upload", "preprocess", "network_large", "gather", "network_small", "fuse"]
        assert list(on_gpu(tiny_image()).timings_ms) == [*stages, "download", "lesions"]


@pytest.mark.parametrize("wrong", ["large", "small"])
@pytest.mark.parametrize("value", [np.nan, -3.0, 1.5])
@pytest.mark.parametrize("order", ["cgnr_then_fuse", "raster"])
def test_other_values_than_probabilities_are_an_error(
    wrong: str, value: float, order: str, opened: Callable[..., Any]
) -> None:
    spoilt = {"large": LARGE, "small": SMALL}
    honest = spoilt[wrong]

    def one_off(batch: Any) -> Any:
        answer = honest(batch)
        answer[0, 0, 5, 7] = value
        return answer

    spoilt[wrong] = one_off
    post = PostprocessSpec(cgnr=CgnrSpec(mode="raster")) if order == "raster" else PostprocessSpec()
    with (
        opened(**spoilt, postprocess=post) as (_, on_gpu, _cuda),
        pytest.raises(BackendUnavailable, match=rf"network '{wrong}' on host: got values outside \[0, 1\]"),
    ):
        on_gpu(tiny_image())


def test_an_image_without_an_eye_is_answered(opened: Callable[..., Any]) -> None:
    black = np.zeros((64, 80), np.uint8)
    with opened() as (_, on_gpu, _cuda):
        result = on_gpu(black)
        assert not result.quality.gradable
        assert result.provenance.gpu is None
        assert not on_gpu.mask(black).any()


def test_sixteen_threads_share_two_lanes(opened: Callable[..., Any]) -> None:
    eyes = [FundusImage(picture(70 + n, 90), field(70 + n, 90), str(n)) for n in range(4)]
    with opened() as (on_cpu, on_gpu, cuda):
        expected = [hashlib.sha256(on_cpu(eye).probability).digest() for eye in eyes]
        for eye in eyes:
            on_gpu(eye)
        together = threading.Barrier(16)

        def work(number: int) -> list[bytes]:
            together.wait()
            return [hashlib.sha256(on_gpu(eyes[(number + n) % 4]).probability).digest() for n in range(3)]

        with ThreadPoolExecutor(16) as pool:
            for number, found in enumerate(pool.map(work, range(16))):
                assert found == [expected[(number + n) % 4] for n in range(3)]
        assert len(cuda.streams) == 2


def test_host_arrays_go_through_the_networks_too(opened: Callable[..., Any]) -> None:
    with opened() as (on_cpu, on_gpu, _):
        random = np.random.default_rng(0)
        whole, on_grid = random.integers(0, 256, (48, 48), np.uint8), random.integers(0, 256, (128, 192), np.uint8)
        assert np.array_equal(on_cpu.run_whole(whole), on_gpu.run_whole(whole))
        assert np.array_equal(on_cpu.run_tiles(on_grid), on_gpu.run_tiles(on_grid))
        with pytest.raises(BackendUnavailable, match="expected image float32"):
            on_gpu.small.run({"image": np.zeros((1, 3, 48, 48), np.float32)})


def test_what_fails_leaves_the_others_their_lane(opened: Callable[..., Any]) -> None:
    def fails(batch: Any) -> Any:
        raise RuntimeError("broken")

    with opened(lanes=1) as (on_cpu, on_gpu, _):
        expected = on_cpu(tiny_image())
        network = on_gpu.runtime.networks["large"]
        honest, network.function = network.function, fails
        for _ in range(3):
            with pytest.raises(RuntimeError, match="broken"):
                on_gpu(tiny_image())
        network.function = honest
        same(expected, on_gpu(tiny_image()))


def test_a_result_is_the_callers(opened: Callable[..., Any]) -> None:
    with opened(lanes=1) as (_, on_gpu, _cuda):
        first = on_gpu(EYES["odd"]())
        mask, probability = first.mask.copy(), first.probability.copy()
        on_gpu(FundusImage(255 - picture(157, 213), field(157, 213), "inverse"))
        assert np.array_equal(first.mask, mask)
        assert np.array_equal(first.probability, probability)
        first.probability[:] = 0
        first.mask[:] = True
        assert np.array_equal(on_gpu(EYES["odd"]()).probability, probability)


def test_a_lane_comes_back_idle_also_after_an_error(opened: Callable[..., Any]) -> None:
    with opened(lanes=1) as (_, on_gpu, cuda):
        with contextlib.suppress(ZeroDivisionError), on_gpu.runtime.lease() as leased:
            leased.lane.upload("anything", np.zeros(10, np.uint8))
            raise ZeroDivisionError
        assert not any(stream.pending for stream in cuda.streams.values())


def test_too_little_memory_is_an_error_with_a_remedy(opened: Callable[..., Any]) -> None:
    with opened(memory=500_000) as (_, on_gpu, _cuda), pytest.raises(BackendUnavailable) as caught:
        on_gpu(EYES["odd"]())
    assert "out of memory" in str(caught.value)
    assert "lower `lanes` or `batch`" in str(caught.value.fix)


def test_a_lane_is_one_thread_s_at_a_time(opened: Callable[..., Any]) -> None:
    with opened(lanes=3) as (_, on_gpu, cuda):
        runtime = on_gpu.runtime
        with runtime.lease() as first, runtime.lease() as second, runtime.lease() as third:
            assert len({first.lane.handle, second.lane.handle, third.lane.handle}) == 3 == len(cuda.streams)
        with runtime.lease() as again:
            assert again in (first, second, third), "made once, used again"


def test_nobody_waits_for_ever(opened: Callable[..., Any]) -> None:
    with opened(lanes=1) as (_, on_gpu, _cuda), on_gpu.runtime.lease():
        caught: list[BaseException] = []

        def wait() -> None:
            try:
                with on_gpu.runtime.lease(0.05):
                    pass
            except BackendUnavailable as error:
                caught.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(10)
        assert "no lane free within 0.05 s" in str(caught[0])


def test_memory_in_use_is_not_freed(opened: Callable[..., Any]) -> None:
    with opened(lanes=2) as (_, on_gpu, cuda):
        with on_gpu.runtime.lease() as leased:
            (sent,) = leased.lane.upload("image", np.arange(10, dtype=np.uint8))
            with pytest.raises(BackendUnavailable, match=r"close\(\) with 1 lanes in use for 0\.05 s"):
                on_gpu.runtime.close(0.05)
            assert np.array_equal(leased.lane.download(sent), np.arange(10))
        assert cuda.living
        assert on_gpu(tiny_image()).mask.any(), "it is still open"


def test_a_closed_pipeline_says_so(opened: Callable[..., Any]) -> None:
    with opened() as (_, on_gpu, _cuda):
        on_gpu.close()
        with pytest.raises(BackendUnavailable, match="a call after close"):
            on_gpu(tiny_image())
        on_gpu.close()
