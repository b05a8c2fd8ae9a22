"""ONNX Runtime's GPU providers: the one asked for or an error, and the result names what ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt.backends import onnxruntime_gpu
from fundusrt.backends.gpu_providers import GPU_PROVIDERS
from fundusrt.errors import BackendUnavailable
from fundusrt.nvidia_driver import Gpu
from fundusrt.testing import tiny_image
from tests.sdk.cuda.fake_device import fake_device
from tests.sdk.cuda.fake_onnxruntime import Fake

RTX = "NvTensorRTRTXExecutionProvider"


@pytest.fixture
def opened(bundle: Path, host_kernels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Load the bundle on a machine with a fake GPU and a fake ONNX Runtime."""

    @contextmanager
    def made(
        backend: str = "onnxruntime",
        providers: Any = None,
        *,
        tf32: str = "0",
        capability: str = "sm90",
        **runtime: Any,
    ) -> Iterator[tuple[Any, Fake, Any]]:
        monkeypatch.setenv("FUNDUSRT_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", tf32)
        with fake_device(monkeypatch, host_kernels) as (device, cuda, _library):
            device.gpu = Gpu("Fake GPU", capability)
            providers = (GPU_PROVIDERS[backend],) if providers is None else providers
            fake = Fake(cuda, () if RTX in providers else providers, **runtime)
            monkeypatch.setattr(onnxruntime_gpu, "import_onnxruntime", lambda: fake)
            with fundusrt.load(bundle, backend=backend, device="cuda") as pipeline:
                yield pipeline, fake, cuda
            cuda.assert_clean()

    return made


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with the library of the TensorRT-RTX provider."""
    library = tmp_path / "onnxruntime_providers_nv_tensorrt_rtx.so"

    class Distribution:
        metadata = {"Name": "onnxruntime-ep-nv-tensorrt-rtx-cu13"}  # noqa: RUF012
        files = (library,)

        def locate_file(self, file: Path) -> Path:
            return file

    monkeypatch.setattr(metadata, "distributions", lambda: [Distribution()])
    return library


@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime-tensorrt"])
def test_the_provider_asked_for_runs(backend: str, bundle: Path, opened: Callable[..., Any]) -> None:
    with fundusrt.load(bundle) as on_cpu:
        expected = on_cpu(tiny_image())
    with opened(backend) as (pipeline, fake, _):
        made = pipeline(tiny_image())
        assert np.array_equal(made.mask, expected.mask)
        assert np.allclose(made.probability, expected.probability, atol=1e-6, rtol=0)
        assert made.provenance.provider == f"onnxruntime:{GPU_PROVIDERS[backend]}, batch 1"
        assert (made.provenance.backend, made.provenance.device) == (backend, "cuda")
        assert made.provenance.warnings == ()
        assert len(fake.sessions) == 4, "a session a network and lane"
        streams = {session.settings["user_compute_stream"] for session in fake.sessions}
        assert len(streams) == 2
        for session in fake.sessions:
            assert session.options.use_deterministic_compute
            assert session.options.entries["session.disable_cpu_ep_fallback"] == "1"
            assert not session.fallback


def test_float32_is_computed_in_float32(opened: Callable[..., Any]) -> None:
    with opened() as (_, fake, _cuda):
        assert all(session.settings["use_tf32"] == "0" for session in fake.sessions)


def test_every_lane_computes_the_same_numbers(opened: Callable[..., Any]) -> None:
    with opened() as (pipeline, _, _cuda):
        answers: list[Any] = []
        with pipeline.runtime.lease() as first, pipeline.runtime.lease() as second:
            for leased in (first, second):
                network = leased.networks["small"]
                leased.lane.zero(network.input)
                network.enqueue()
                answers.append(leased.lane.download(network.output).copy())
        assert np.array_equal(*answers)


@pytest.mark.parametrize("backend", ["onnxruntime-tensorrt", "onnxruntime-tensorrt-rtx"])
def test_tf32_that_cannot_be_turned_off_is_refused(backend: str, plugin: Path, opened: Callable[..., Any]) -> None:
    with pytest.raises(BackendUnavailable, match="computed in TF32") as caught, opened(backend, tf32="1"):
        pass
    assert "set NVIDIA_TF32_OVERRIDE=0" in str(caught.value.fix)
    with opened(backend, tf32="1", capability="sm75") as (pipeline, _, _cuda):
        assert pipeline(tiny_image()).mask.any(), "a GPU without TF32 needs nothing turned off"


def test_the_cuda_provider_turns_it_off_by_itself(opened: Callable[..., Any]) -> None:
    with opened(tf32="1") as (pipeline, _, _cuda):
        assert pipeline(tiny_image()).mask.any()


def test_tensorrts_shapes_are_fixed_and_its_folder_is_private(opened: Callable[..., Any], tmp_path: Path) -> None:
    with opened("onnxruntime-tensorrt") as (_, fake, _cuda):
        shapes = {session.settings["trt_profile_opt_shapes"] for session in fake.sessions}
        assert shapes == {"image:1x3x64x64", "image:8x3x64x64"}
        for session in fake.sessions:
            settings = session.settings
            assert settings["trt_profile_min_shapes"] == settings["trt_profile_max_shapes"]
            folder = Path(settings["trt_engine_cache_path"])
            assert folder == tmp_path / "cache" / "onnxruntime-tensorrt"
            assert folder.stat().st_mode & 0o077 == 0


def test_a_plugin_is_registered(plugin: Path, bundle: Path, opened: Callable[..., Any]) -> None:
    with fundusrt.load(bundle) as on_cpu:
        expected = on_cpu(tiny_image()).mask
    with opened("onnxruntime-tensorrt-rtx") as (pipeline, fake, _):
        assert np.array_equal(pipeline(tiny_image()).mask, expected)
        assert fake.registered == {RTX: str(plugin)}
        assert pipeline.large.name == f"onnxruntime:{RTX}, batch 1"


@pytest.mark.parametrize("backend", GPU_PROVIDERS)
def test_a_wheel_without_the_provider_is_an_error(backend: str, opened: Callable[..., Any]) -> None:
    with (
        pytest.raises(BackendUnavailable, match=f"{GPU_PROVIDERS[backend]} of ONNX Runtime") as caught,
        opened(backend, providers=("AzureExecutionProvider",)),
    ):
        pass
    assert "pip uninstall onnxruntime" in str(caught.value.fix)


@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime-tensorrt"])
def test_a_provider_that_does_not_load_is_an_error(backend: str, opened: Callable[..., Any]) -> None:
    with pytest.raises(BackendUnavailable, match=r"libcublas\.so\.13"), opened(backend, loads=False):
        pass


def test_a_plugin_that_does_not_load_is_an_error(plugin: Path, opened: Callable[..., Any]) -> None:
    with pytest.raises(BackendUnavailable, match=r"libcuda\.so\.1"), opened("onnxruntime-tensorrt-rtx", loads=False):
        pass


def test_nodes_left_to_the_cpu_are_an_error(opened: Callable[..., Any]) -> None:
    with pytest.raises(BackendUnavailable, match="assigned to the default CPU EP"), opened(leaves=True):
        pass


def test_a_session_on_the_cpu_is_an_error_however_it_came(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Fake.__init__

    def falls_back(self: Fake, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        self.InferenceSession.get_providers = lambda session: ["CPUExecutionProvider"]

    monkeypatch.setattr(Fake, "__init__", falls_back)
    with pytest.raises(BackendUnavailable, match="a session on CPUExecutionProvider"), opened():
        pass


def test_a_refused_graph_is_reported_and_the_answer_is_right(bundle: Path, opened: Callable[..., Any]) -> None:
    with fundusrt.load(bundle) as on_cpu:
        expected = on_cpu(tiny_image()).mask
    with opened(graphs=False) as (pipeline, _, _cuda):
        made = pipeline(tiny_image())
        assert np.array_equal(made.mask, expected)
        assert len(made.provenance.warnings) == 2
        assert "without a CUDA graph" in made.provenance.warnings[0]
        assert "cudaErrorStreamCaptureUnsupported" in made.provenance.warnings[0]


def test_a_run_that_fails_is_an_error(opened: Callable[..., Any]) -> None:
    with opened() as (pipeline, fake, _):

        def fails(*_: Any) -> None:
            raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")

        for session in fake.sessions:
            session.run_with_iobinding = fails
        with pytest.raises(BackendUnavailable, match="CUDNN_STATUS_EXECUTION_FAILED"):
            pipeline(tiny_image())
