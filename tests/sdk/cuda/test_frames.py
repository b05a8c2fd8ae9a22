"""Systems whose network alone runs on the GPU: the CPU's answer, and what went there and back in the provenance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt.backends import onnxruntime_gpu
from fundusrt.backends.device_session import DeviceSession
from fundusrt.provenance import GpuWork
from fundusrt.testing import tiny_enhancement_bundle, tiny_exudate_bundle, tiny_photograph
from tests.sdk.cuda.fake_device import fake_device
from tests.sdk.cuda.fake_onnxruntime import Fake

Write = Callable[[Path], Path]
ANSWERS: dict[Write, str] = {tiny_exudate_bundle: "probability", tiny_enhancement_bundle: "image"}


@pytest.fixture(params=ANSWERS, ids=lambda write: write.__name__)
def pipelines(
    request: pytest.FixtureRequest, tmp_path: Path, host_kernels: Any, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The pipeline on the CPU and on the fake GPU, the fake, and the name of the answer."""
    folder = request.param(tmp_path / "bundle")
    with fake_device(monkeypatch, host_kernels) as (_, cuda, _library):
        monkeypatch.setattr(onnxruntime_gpu, "import_onnxruntime", lambda: Fake(cuda, ("CUDAExecutionProvider",)))
        with fundusrt.load(folder) as on_cpu, fundusrt.load(folder, device="cuda") as on_gpu:
            yield on_cpu, on_gpu, cuda, ANSWERS[request.param]
        cuda.assert_clean()


def test_the_answer_is_the_cpus_and_the_bytes_are_said(pipelines: Any) -> None:
    on_cpu, on_gpu, cuda, answer = pipelines
    expected = on_cpu(tiny_photograph())
    before = cuda.uploaded, cuda.downloaded
    made = on_gpu(tiny_photograph())
    assert np.array_equal(getattr(made, answer), getattr(expected, answer))
    assert (expected.provenance.gpu, made.provenance.device) == (None, "cuda")
    assert made.provenance.provider == "onnxruntime:CUDAExecutionProvider, batch 1"
    work = made.provenance.gpu
    assert isinstance(work, GpuWork)
    assert (work.uploads, work.downloads) == (1, 1)
    assert (work.uploaded_bytes, work.downloaded_bytes) == (cuda.uploaded - before[0], cuda.downloaded - before[1])
    assert work.uploaded_bytes > 0
    assert work.downloaded_bytes > 0
    assert set(work.on_cpu) == set(made.timings_ms) - {"network"}


def test_what_a_session_answers_is_the_callers(pipelines: Any) -> None:
    """The lane's pinned memory is written by the next download."""
    _, on_gpu, _, _ = pipelines
    (session,) = on_gpu.sessions.values()
    assert isinstance(session, DeviceSession)
    ((name, spec),) = session.inputs.items()
    dark = np.zeros((1, *spec.shape[1:]), np.float32)
    (first,) = session.run({name: dark}).values()
    kept = first.copy()
    (second,) = session.run({name: dark + 1.0}).values()
    assert not np.array_equal(first, second)
    assert np.array_equal(first, kept)


def test_an_image_without_an_eye_goes_nowhere(pipelines: Any) -> None:
    _, on_gpu, cuda, _ = pipelines
    before = cuda.uploaded
    assert on_gpu(np.zeros((120, 130, 3), np.uint8)).provenance.gpu is None
    assert cuda.uploaded == before
