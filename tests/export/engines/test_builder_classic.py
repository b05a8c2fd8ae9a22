"""The builder against TensorRT 10.3, 10.16 and 11.1 as recorded: the same code as for TensorRT-RTX."""

from __future__ import annotations

from typing import Any

import pytest

from fundusrt.engine_identity import BatchRange, EngineOptions
from fundusrt.errors import UsageError
from fundusrt.tensorrt_flavour import TensorRT, tensorrt_of
from fundusrt_export.engines.builder import build_engine
from fundusrt_export.engines.onnx_parsing import typed_network
from fundusrt_export.errors import BuildCancelled, EngineBuildError
from tests.export.engines.fake_tensorrt import RELEASES, fake_tensorrt, plan_of
from tests.export.engines.small_networks import ONE, SIDE, network, spec


@pytest.fixture(params=RELEASES)
def tensorrt(request: pytest.FixtureRequest) -> TensorRT:
    return tensorrt_of(fake_tensorrt(request.param), "tensorrt")


def built(tensorrt: TensorRT, onnx: bytes | None = None, batch: BatchRange = ONE, **options: Any) -> dict[str, Any]:
    result = build_engine(tensorrt, onnx or network(), spec(), batch, subject="net", **options)
    return plan_of(result.plan)


def test_strongly_typed_with_this_release_s_own_bit(tensorrt: TensorRT) -> None:
    plan = built(tensorrt)
    explicit = ["EXPLICIT_BATCH"] if tensorrt.version.startswith("10") else []
    assert plan["network_flags"] == [*explicit, "STRONGLY_TYPED"]
    assert plan["unknown_network_flags"] == 0


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("bit", [0, 1])
def test_a_literal_bit_is_wrong_in_one_of_the_majors(release: str, bit: int) -> None:
    """What the enumeration is for: planted, the fault shows."""
    trt = fake_tensorrt(release)
    logger = type("Log", (trt.ILogger,), {"log": lambda self, severity, text: None})()
    builder = trt.Builder(logger)
    right = typed_network(trt, builder)._flags >> int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) & 1
    literal = (1 << bit) >> int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) & 1
    assert right == 1
    assert literal == (bit == (0 if release.startswith("v11") else 1))


def test_the_profile_frees_the_batch_alone(tensorrt: TensorRT) -> None:
    plan = built(tensorrt, batch=BatchRange(min=1, opt=4, max=8))
    assert plan["profiles"] == [{"image": [[size, 3, SIDE, SIDE] for size in (1, 4, 8)]}]


def test_a_batch_fixed_in_the_file_needs_no_profile(tensorrt: TensorRT) -> None:
    four = BatchRange(min=4, opt=4, max=4)
    assert built(tensorrt, network(batch=4), four)["profiles"] == []
    with pytest.raises(EngineBuildError, match=r"shape \(4, 3, 32, 32\) for batches 1,1,1"):
        built(tensorrt, network(batch=4))


def test_fp32_is_fp32_unless_tf32_is_asked_for(tensorrt: TensorRT) -> None:
    assert built(tensorrt)["builder_flags"] == []
    assert built(tensorrt, options=EngineOptions(tf32=True))["builder_flags"] == ["TF32"]


def test_options(tensorrt: TensorRT) -> None:
    options = EngineOptions(
        optimization_level=5, version_compatible=True, exclude_lean_runtime=True, hardware_compatibility="ampere-plus"
    )
    plan = built(tensorrt, options=options)
    assert plan["builder_flags"] == ["EXCLUDE_LEAN_RUNTIME", "VERSION_COMPATIBLE"]
    assert (plan["level"], plan["hardware"], plan["verbosity"]) == (5, "AMPERE_PLUS", "DETAILED")


def test_a_compatibility_that_the_release_lacks_is_refused_by_name(tensorrt: TensorRT) -> None:
    options = EngineOptions(hardware_compatibility="same-compute-capability")
    if tensorrt.version == "10.3.0":
        with pytest.raises(UsageError, match=r"same-compute-capability: got tensorrt 10\.3\.0, which does not have it"):
            built(tensorrt, options=options)
    else:
        assert built(tensorrt, options=options)["hardware"] == "SAME_COMPUTE_CAPABILITY"


def test_a_lean_runtime_cannot_be_left_out_of_a_plan_without_one(tensorrt: TensorRT) -> None:
    with pytest.raises(UsageError, match="add --version-compatible"):
        built(tensorrt, options=EngineOptions(exclude_lean_runtime=True))


def test_the_report(tensorrt: TensorRT) -> None:
    report = build_engine(tensorrt, network(), spec(), ONE, subject="net").report
    assert (report.parsed_layers, report.activation_bytes, report.weight_bytes) == (4, 4096, 128)
    assert report.plan_bytes > 100
    assert report.to_dict()["generated_kernels"] == 0


def test_an_unsupported_operator_is_named(tensorrt: TensorRT) -> None:
    with pytest.raises(EngineBuildError, match=r"net: got node 'last' \(MaxUnpool\): Plugin not found"):
        built(tensorrt, network(last="MaxUnpool"))


def test_cancelled(tensorrt: TensorRT) -> None:
    asked: list[int] = []
    with pytest.raises(BuildCancelled, match="told to stop"):
        built(tensorrt, cancelled=lambda: bool(asked.append(1)) or len(asked) == 2)
    assert len(asked) == 2
    assert built(tensorrt)["level"] == 3  # the next build is not affected


def test_a_failed_build_says_what_the_log_said(tensorrt: TensorRT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt.module.IBuilderConfig, "add_optimization_profile", lambda self, profile: 0)
    with pytest.raises(EngineBuildError, match="no optimization profile has been defined"):
        built(tensorrt)


def test_a_network_that_is_not_the_manifest_s_is_refused(tensorrt: TensorRT) -> None:
    wrong = spec().model_copy(update={"output": spec().output.model_copy(update={"name": "mask"})})
    with pytest.raises(EngineBuildError, match=r"net, output: got probability .*; expected mask float32"):
        build_engine(tensorrt, network(), wrong, ONE, subject="net")
