"""The whole pipeline on the GPU over PyTorch's networks: the CPU's answer, the bytes it says, its memory given back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fundusrt.backends.device_session import DeviceSession
from fundusrt.bundle import Bundle
from fundusrt.cuda.driver import CudaDevice
from fundusrt.cuda.runtime import CudaRuntime
from fundusrt.cuda.segmentation import CudaSegmentationPipeline
from fundusrt.image import FundusImage
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.provenance import GpuWork
from fundusrt.testing import tiny_image
from fundusrt.testing.assembly import IDENTITY
from tests.sdk.cuda.stage_cases import field, picture

pytestmark = pytest.mark.gpu


@pytest.fixture
def on_gpu(device: CudaDevice, tiny: Path) -> Iterator[CudaSegmentationPipeline]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    from benchmarks.gpu_check.torch_network import TorchNetwork

    bundle = Bundle.open(tiny)

    def networks(_: CudaDevice) -> dict[str, Any]:
        return {
            name: TorchNetwork(bundle.network_bytes(spec.variants[0]), spec, batch=4 if name == "small" else 1)
            for name, spec in bundle.manifest.networks.items()
        }

    runtime = CudaRuntime(device, networks, lanes=3)
    manifest: Any = bundle.manifest
    with CudaSegmentationPipeline(manifest, runtime, dict(IDENTITY)) as pipeline:
        yield pipeline


EYES = (
    FundusImage(picture(301, 180), field(301, 180), "grey"),
    FundusImage(picture(131, 97, 3), field(131, 97), "colour"),
    FundusImage(picture(131, 97, dtype=np.uint16), field(131, 97), "deep"),
)


@pytest.mark.parametrize("eye", EYES, ids=lambda eye: eye.source_id)
def test_the_answer_is_the_cpus(eye: FundusImage, on_gpu: CudaSegmentationPipeline) -> None:
    large, small = DeviceSession(on_gpu.runtime, "large"), DeviceSession(on_gpu.runtime, "small")
    on_cpu = SegmentationPipeline(on_gpu.manifest, large, small, dict(IDENTITY), batch=4)
    expected, made = on_cpu(eye), on_gpu(eye)
    apart = np.abs(made.probability - expected.probability)
    assert apart.max() <= 1e-4  # what builds of OpenCV differ by when they up-sample
    unsure = np.abs(expected.probability - np.float32(on_gpu.manifest.postprocess.threshold)) <= 1e-4
    assert np.array_equal(made.mask | unsure, expected.mask | unsure)
    assert made.mask.any()
    assert np.array_equal(on_gpu.mask(eye), made.mask)
    assert made.provenance.warnings == ()


def test_sixteen_threads(on_gpu: CudaSegmentationPipeline) -> None:
    eyes = [FundusImage(picture(150 + n, 170), field(150 + n, 170), str(n)) for n in range(8)]
    expected = [on_gpu(eye).probability for eye in eyes]

    def right(number: int) -> bool:
        order = [(number + turn) % 8 for turn in range(8)]
        return all(np.array_equal(on_gpu(eyes[n]).probability, expected[n]) for n in order)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(right, range(16)))


def test_bytes_are_counted(on_gpu: CudaSegmentationPipeline) -> None:
    work = on_gpu(tiny_image(200, 240)).provenance.gpu
    assert isinstance(work, GpuWork)
    assert (work.uploads, work.downloads) == (1, 2)
    assert 200 * 240 <= work.uploaded_bytes <= 200 * 240 + 200 * 30 + 256
    assert work.downloaded_bytes == 200 * 240 + 8 + 200 * 240 * 4
