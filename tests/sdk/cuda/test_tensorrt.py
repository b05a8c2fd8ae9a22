"""Engines of the cache, run by the recorded fake of each release: the answers, and what is refused."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt.errors import BackendUnavailable, EngineMismatch
from fundusrt.nvidia_driver import Gpu
from fundusrt.tensorrt_flavour import TensorRT
from fundusrt.testing import tiny_image
from tests.export.engines.fake_tensorrt import RELEASES
from tests.sdk.cuda.engine_bench import Bench, bench

__all__ = ["bench"]


def same(bench: Bench, pipeline: Any, pixels: Any) -> Any:
    """Assert that a pipeline answers what the CPU answers."""
    with fundusrt.load(bench.bundle) as on_cpu:
        expected = on_cpu(pixels)
    made = pipeline(pixels)
    assert np.array_equal(made.mask, expected.mask)
    assert np.allclose(made.probability, expected.probability, atol=1e-6, rtol=0)
    return made


@pytest.mark.parametrize("release", RELEASES)
def test_an_engine_answers_as_the_cpu(release: str, bench: Callable[..., Any]) -> None:
    with bench(release) as here:
        here.build()
        with here.load() as pipeline:
            made = same(here, pipeline, tiny_image(300, 350))
            assert made.provenance.provider == f"tensorrt {release.removeprefix('v')}, batch 1"
            assert (made.provenance.backend, made.provenance.device) == ("tensorrt", "cuda")
            assert made.provenance.gpu.name == "Fake GPU"
            assert made.provenance.warnings == ()
            # 25 tiles in batches of 3, and the whole image: each a launch of a captured graph.
            assert here.libcuda.launches == 9 + 1
        here.clean()


def test_no_engine_is_an_error_that_says_how_to_build_it(bench: Callable[..., Any]) -> None:
    with (
        bench() as here,
        pytest.raises(EngineMismatch, match=r"got none; expected one for tensorrt 11\.1 on sm90") as no,
    ):
        here.load()
    assert no.value.fix == f"run `fundusrt build {here.bundle} --for tensorrt --precision fp32 --batch 1,1,1`"


@pytest.mark.parametrize(
    ("built", "asked", "message"),
    [
        ({"batch": "2"}, {"batch": 3}, "batches 2,2,2 without 3"),
        ({"tf32": True}, {}, "TF32, which the certificate did not measure"),
        ({"version_compatible": True, "exclude_lean_runtime": True}, {}, "a plan for the lean runtime"),
        ({}, {"name": "tensorrt-lean"}, "a plan that is not version-compatible"),
    ],
)
def test_an_engine_that_does_not_fit_is_not_taken(
    built: Any, asked: Any, message: str, bench: Callable[..., Any]
) -> None:
    with bench() as here:
        here.build(**built)
        with pytest.raises(EngineMismatch, match=message):
            here.load(**asked)


def test_an_engine_of_another_gpu_or_version_is_not_taken(bench: Callable[..., Any]) -> None:
    with bench() as here:
        here.build()
        here.trt.__version__ = "11.2"
        with pytest.raises(EngineMismatch, match=r"an engine with version 11\.1 instead of 11\.2"):
            here.load()
        here.trt.__version__ = "11.1"
        here.device.gpu = Gpu("Other GPU", "sm89")
        with pytest.raises(EngineMismatch, match="gpu sm90 Fake GPU instead of sm89 Other GPU"):
            here.load()


def test_of_several_the_plain_one_for_the_largest_batch_is_taken(bench: Callable[..., Any]) -> None:
    with bench() as here:
        for batch in ("1", "1,5,5", "1,2,2"):
            here.build(batch)
        here.build("1,9,9", optimization_level=2)
        with here.load() as pipeline:
            assert pipeline.runtime.networks["small"].batch == 5
        with here.load(batch=2) as pipeline:
            assert pipeline.runtime.networks["small"].batch == 2
        here.clean()


def test_a_version_compatible_engine_may_bring_its_code(bench: Callable[..., Any]) -> None:
    with bench() as here:
        here.build(version_compatible=True)
        for name in ("tensorrt", "tensorrt-lean"):
            with here.load(name) as pipeline:
                assert same(here, pipeline, tiny_image()).provenance.provider.startswith(f"{name} 11.1")
        here.clean()


def test_a_plan_that_does_not_load_is_refused_with_the_reason(bench: Callable[..., Any]) -> None:
    with bench() as here:
        here.build()
        trt, loads = here.trt, here.trt.Runtime.deserialize_cuda_engine

        def refuses(runtime: Any, plan: bytes) -> Any:
            return loads(runtime, b"xxxx" + plan[4:])

        here.patch.setattr(trt.Runtime, "deserialize_cuda_engine", refuses)
        with pytest.raises(EngineMismatch, match="Magic tag does not match") as caught:
            here.load()
        assert "fundusrt build --force" in str(caught.value.fix)
        here.clean()


def test_another_plan_is_never_given_to_the_runtime(bench: Callable[..., Any], tmp_path: Path) -> None:
    with bench() as here:
        here.build()
        for plan in (tmp_path / "engines").glob("*.plan"):
            content = bytearray(plan.read_bytes())
            content[-1] ^= 1
            plan.write_bytes(content)

        def never(*_: Any) -> Any:
            raise AssertionError("given to the runtime")

        here.patch.setattr(here.trt.Runtime, "deserialize_cuda_engine", never)
        with pytest.raises(EngineMismatch, match="SHA-256"):
            here.load()


@pytest.mark.parametrize("call", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"])
def test_a_refused_capture_is_reported_and_the_answer_is_right(call: str, bench: Callable[..., Any]) -> None:
    with bench(refuse=call) as here:
        here.build()
        with here.load() as pipeline:
            made = same(here, pipeline, tiny_image())
            assert len(made.provenance.warnings) == 2, "one a network"
            for warning in made.provenance.warnings:
                assert "network without a CUDA graph (tensorrt 11.1, batch" in warning
                assert call.removesuffix("_v2").removesuffix("WithFlags") in warning
            assert here.libcuda.launches == 0
        here.clean()


def test_sixteen_threads_share_one_engine(bench: Callable[..., Any]) -> None:
    with bench() as here:
        here.build()
        with here.load(lanes=3) as pipeline:
            expected = pipeline(tiny_image()).probability
            together, found = threading.Barrier(16), []

            def work() -> None:
                together.wait()
                found.extend(np.array_equal(pipeline(tiny_image()).probability, expected) for _ in range(3))

            threads = [threading.Thread(target=work) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert found == [True] * 48
            assert len(here.cuda.streams) == 3
        here.clean()


class Rtx(dict[str, bytes]):
    """The names that only TensorRT-RTX has, on the recorded fake: graphs captured by the context itself."""

    def __init__(self, trt: Any) -> None:
        record = self
        trt.CudaGraphStrategy = enum.Enum("CudaGraphStrategy", ["DISABLED", "WHOLE_GRAPH_CAPTURE"])

        class Cache:
            def deserialize(self, content: bytes) -> None:
                record["read"] = content

            def serialize(self) -> bytes:
                return b"compiled kernels"

        class Config:
            cuda_graph_strategy: Any = None

            def __init__(self) -> None:
                self.cache: Any = None

            def create_runtime_cache(self) -> Any:
                return Cache()

            def set_runtime_cache(self, cache: Any) -> None:
                self.cache = cache

            def get_runtime_cache(self) -> Any:
                if self.cache is None:
                    raise RuntimeError("no runtime cache was set")
                return self.cache

        trt.ICudaEngine.create_runtime_config = lambda engine: Config()


def test_tensorrt_rtx_captures_by_itself_and_keeps_what_it_compiled(bench: Callable[..., Any], tmp_path: Path) -> None:
    with bench("v10.16") as here:
        here.tensorrt = TensorRT("tensorrt-rtx", here.trt.__version__, here.trt)
        here.build()
        seen = Rtx(here.trt)
        for turn in range(2):
            with here.load("tensorrt-rtx", lanes=1) as pipeline:
                assert same(here, pipeline, tiny_image()).provenance.warnings == ()
            assert seen.get("read") == (b"compiled kernels" if turn else None)
        assert here.libcuda.launches == 0
        (kept,) = {path.read_bytes()[32:] for path in (tmp_path / "engines").glob("jit-*.cache")}
        assert kept == b"compiled kernels"
        for path in (tmp_path / "engines").glob("jit-*.cache"):
            path.write_bytes(path.read_bytes()[:-1] + b"!")
        seen.clear()
        with here.load("tensorrt-rtx", lanes=1):
            assert "read" not in seen, "a changed file was given to the library"
        here.clean()


def test_closed_is_closed(bench: Callable[..., Any]) -> None:
    with bench() as here:
        here.build()
        pipeline = here.load()
        pipeline.close()
        with pytest.raises(BackendUnavailable, match="after close"):
            pipeline(tiny_image())
        with pytest.raises(BackendUnavailable, match="after close"):
            pipeline.small.run({"image": np.zeros((1, 3, 64, 64), np.float32)})
        here.clean()


def test_no_memory_for_a_context_is_an_error_with_a_remedy(bench: Callable[..., Any]) -> None:
    with bench() as here:
        here.build()
        here.patch.setattr(here.trt.ICudaEngine, "create_execution_context", lambda *_: None)
        with pytest.raises(BackendUnavailable, match="no execution context") as caught:
            here.load()
        assert "fewer lanes" in str(caught.value.fix)
        here.clean()
