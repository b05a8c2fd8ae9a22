"""A fake GPU, the recorded fake of TensorRT and a cache of engines, put in the place of the real ones."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import fundusrt
from fundusrt.bundle import Bundle
from fundusrt.engine_cache import EngineCache
from fundusrt.engine_identity import BatchRange, EngineOptions
from fundusrt.nvidia_driver import Gpu
from fundusrt.tensorrt_flavour import TensorRT, tensorrt_of
from fundusrt_export.engines.bundle_build import BuildRequest, build_bundle
from fundusrt_export.engines.gpu_targets import GpuTarget
from tests.export.engines.fake_tensorrt import fake_tensorrt
from tests.sdk.cuda.fake_device import fake_device

GPU = Gpu("Fake GPU", "sm90")


class Bench:
    """A fake GPU, a fake TensorRT and a cache of engines; `load` as a user would."""

    def __init__(self, bundle: Path, trt: Any, device: Any, cuda: Any, libcuda: Any, patch: Any) -> None:
        self.bundle, self.trt, self.device, self.cuda, self.libcuda, self.patch = (
            bundle,
            trt,
            device,
            cuda,
            libcuda,
            patch,
        )
        self.tensorrt: TensorRT = tensorrt_of(trt, "tensorrt")

    def build(self, batch: str = "1,3,3", **options: Any) -> None:
        request = BuildRequest(batch=BatchRange.parse(batch), options=EngineOptions(**options))
        self.trt.gpu = None  # the builder needs no context of ours
        build_bundle(Bundle.open(self.bundle), self.tensorrt, [GpuTarget(GPU, None)], EngineCache(), request)
        self.trt.gpu = self.cuda

    def load(self, name: str = "tensorrt", **options: Any) -> Any:
        self.trt.gpu = self.cuda
        return fundusrt.load(self.bundle, backend=name, device="cuda", **options)

    def clean(self) -> None:
        """Assert that everything went in the right order."""
        gc.collect()
        assert self.trt.misuse == []
        self.cuda.assert_clean()


@pytest.fixture
def bench(bundle: Path, host_kernels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    @contextmanager
    def made(release: str = "v11.1", refuse: str | None = None, memory: int = 2**40) -> Iterator[Bench]:
        trt = fake_tensorrt(release)
        monkeypatch.setenv("FUNDUSRT_CACHE", str(tmp_path))
        monkeypatch.setattr(
            "fundusrt.backends.device_networks.import_tensorrt", lambda flavour: tensorrt_of(trt, flavour)
        )
        lean = TensorRT("tensorrt", trt.__version__, trt, lean=True)
        monkeypatch.setattr("fundusrt.backends.device_networks.import_tensorrt_lean", lambda: lean)
        with fake_device(monkeypatch, host_kernels, refuse=refuse, memory=memory) as (device, cuda, library):
            yield Bench(bundle, trt, device, cuda, library, monkeypatch)

    return made
