"""`fundusrt export --precision`: a bundle with fp16, bf16 and int8 variants beside fp32."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fundusrt.bundle import Bundle
from fundusrt.certificate import Measurement
from fundusrt.errors import BackendUnavailable, InvalidInput, UsageError
from fundusrt.ladder import LADDER
from fundusrt.loading import load
from fundusrt.manifest import PreprocessSpec
from fundusrt.verification import verify_bundle
from fundusrt_export import reduced_variants
from fundusrt_export.cli import export
from fundusrt_export.errors import PrecisionError
from fundusrt_export.package import export_bundle
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.precision.report import ReducedPrecision
from tests.export.small_exudate import INFO, checkpoint, photograph, write_photograph
from tests.sdk.bundle_attacks import reseal

# Random weights spread their answers over the whole range: rounding turns more pixels than in a trained network.
LIMITS = {("segmentation", "fp16"): 0.02, ("segmentation", "bf16"): 0.05, ("segmentation", "int8"): 0.05}


@pytest.fixture(scope="module", autouse=True)
def allow_more() -> Iterator[None]:
    """The certificate is checked against the table wherever a bundle is opened."""
    wider = {"inside": 0.05, "outside": 0.05, "drop": 0.05, "medium": 0.0, "large": 0.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduced_variants, "LIMITS", LIMITS)
        for precision in ("fp16", "bf16", "int8"):
            limits = LADDER[f"precision-{precision}"].limits
            for name, value in wider.items():
                patch.setitem(limits, name, replace(limits[name], value=value))
        yield


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("material")
    images = folder / "images"
    images.mkdir()
    for index in range(26):
        write_photograph(images / f"DOE_{index:02}.png", photograph(90 + index, 140 - index, seed=index))
    golden = write_photograph(folder / "golden.png", photograph())
    return {"checkpoint": checkpoint(folder / "last.safetensors"), "golden": golden, "images": images}


@pytest.fixture(scope="module")
def bundle(material: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "tiny"
    export_bundle(
        material["checkpoint"], out, info=INFO, golden=material["golden"], threads=1,
        precisions=["fp32", "fp16", "bf16", "int8"], calibration=[material["images"]],
    )  # fmt: skip
    return out


def test_each_precision_has_its_file_and_report(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    variants = {(v.target, v.precision): v for v in opened.manifest.networks["segmentation"].variants}
    assert {precision for target, precision in variants if target == "onnxruntime"} == {"fp32", "fp16", "int8"}
    assert {precision for target, precision in variants if target == "tensorrt"} == {"fp32", "fp16", "bf16", "int8"}
    assert {precision for target, precision in variants if target == "openvino"} == {"fp32", "bf16", "int8"}
    assert variants["openvino", "bf16"].file == variants["tensorrt", "bf16"].file == "segmentation-bf16.onnx"
    assert variants["openvino", "int8"].file == "segmentation-openvino-int8.onnx"
    assert variants["onnxruntime", "int8"].file == variants["tensorrt", "int8"].file == "segmentation-int8.onnx"
    assert {v.weights for v in variants.values()} == {"segmentation.weights"}
    for precision in ("fp16", "bf16", "int8"):
        report = json.loads(opened.read_bytes(f"precision/segmentation-{precision}.json"))
        assert report["precision"] == precision
        assert report["reduced"]
        assert {node["reason"] for node in report["kept"]} >= {"head"}
        assert report["calibration"]["tiles"] == 18  # of 26: every third is held out
    everything = b"".join(path.read_bytes() for path in bundle.rglob("*") if path.is_file())
    assert b"DOE" not in everything


def test_its_rung_is_certified(bundle: Path) -> None:
    rungs = {rung.name: rung for rung in Bundle.open(bundle).certificate.rungs}
    for precision in ("fp16", "bf16", "int8"):
        figures = [each.metric for each in rungs[f"precision-{precision}"].measurements]
        assert figures[0] == f"segmentation-{precision}.onnx: Dice drop against the float32 mask"
        assert len(rungs[f"precision-{precision}"].inputs) == 9  # held out, and the golden image


RUNS = [("onnxruntime", "fp16"), ("onnxruntime", "int8"), ("openvino", "bf16"), ("openvino", "int8")]


@pytest.mark.parametrize(("backend", "precision"), RUNS)
def test_it_runs_and_says_so(bundle: Path, backend: str, precision: ReducedPrecision) -> None:
    masks = []
    for each in ("fp32", precision):
        with load(bundle, backend=backend, precision=each, threads=1) as pipeline:
            result = pipeline(photograph(101, 133, seed=40))
        assert (result.provenance.backend, result.provenance.precision) == (backend, each)
        masks.append(result.mask)
    assert masks[0].any()
    assert np.mean(masks[0] != masks[1]) < 0.05


@pytest.mark.parametrize(("backend", "precision"), RUNS)
def test_verify_measures_it_against_the_golden_vectors_of_float32(
    bundle: Path, backend: str, precision: ReducedPrecision
) -> None:
    first, rung = verify_bundle(str(bundle), backend=backend, precision=precision)
    own = "-openvino" if (backend, precision) == ("openvino", "int8") else ""
    assert first.name == "preprocessing"
    assert rung.name == f"precision-{precision}"
    assert rung.holds
    names = ["99.9th percentile of |difference|", "cosine", "share of the field turned, further than 0.02 from the",
             "share of the field turned, within 0.02", "lesions found, 64 to", "lesions found, 1024 px"]  # fmt: skip
    for figure, certified, name in zip(rung.measurements, rung.certified, names, strict=True):
        assert figure.metric.startswith(f"golden image, segmentation{own}-{precision}.onnx: {name}")
        assert isinstance(certified, Measurement)
        assert (certified.metric, certified.bound) == (figure.metric, figure.bound)
    assert rung.measurements[0].value > 1e-6  # the reduced network really ran


def test_verify_fails_where_the_reduced_network_is_far_off(bundle: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(bundle, tmp_path / "broken"))
    golden = broken / json.loads((broken / "bundle.json").read_text())["golden"]["probability"]
    np.savez(golden, 1.0 - np.load(golden)["arr_0"])
    reseal(broken)
    rung = verify_bundle(str(broken), precision="fp16")[1]
    assert not any(figure.holds for figure in rung.measurements[:2])


def test_verify_a_precision_the_bundle_has_not_here(bundle: Path) -> None:
    with pytest.raises(BackendUnavailable, match="got onnxruntime/bf16; expected"):
        verify_bundle(str(bundle), precision="bf16")


def test_refusals(material: dict[str, Path], tmp_path: Path) -> None:
    given = {"info": INFO, "golden": material["golden"], "threads": 1}
    some = sorted(material["images"].iterdir())
    message = r"precision bf16: got targets onnxruntime; expected one that it is offered for: openvino, tensorrt; "
    with pytest.raises(UsageError, match=message):
        export_bundle(
            material["checkpoint"], tmp_path / "out", precisions=["bf16"], targets=["onnxruntime"], calibration=some,
            **given,
        )  # fmt: skip
    with pytest.raises(UsageError, match=r"--calibration: got 2 of them, and no precision beside fp32; expected fp16"):
        export_bundle(material["checkpoint"], tmp_path / "out", calibration=some[:2], **given)
    with pytest.raises(UsageError, match=r"--calibration: got nothing; expected real images, on which the ranges for"):
        export_bundle(material["checkpoint"], tmp_path / "out", precisions=["fp16"], **given)
    with pytest.raises(UsageError, match=r"precisions: got fp8; expected any of fp32, fp16, bf16, int8"):
        export_bundle(material["checkpoint"], tmp_path / "out", precisions=["fp8"], **given)  # type: ignore[list-item]
    with pytest.raises(InvalidInput, match="--calibration: got 2 images; expected at least 3"):
        export_bundle(material["checkpoint"], tmp_path / "out", precisions=["fp16"], calibration=some[:2], **given)
    with pytest.raises(InvalidInput, match="expected at least 16"):
        export_bundle(material["checkpoint"], tmp_path / "out", precisions=["int8"], calibration=some[:9], **given)
    assert list(tmp_path.iterdir()) == []


def test_a_limit_that_cannot_be_kept_ends_the_command(
    material: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reduced_variants, "LIMITS", {("segmentation", "fp16"): -1.0})
    arguments = [material["checkpoint"], "-o", tmp_path / "out", "--golden", material["golden"], "--threads", 1]
    options = ["--precision", "fp16", "--calibration", material["images"]]
    done = CliRunner().invoke(export, list(map(str, [*arguments, *options])))
    assert isinstance(done.exception, PrecisionError)
    assert done.exit_code != 0
    assert list(tmp_path.iterdir()) == []


def test_windows_are_few_and_of_all_images() -> None:
    names = [f"image {image}, tile {tile}" for image in range(8) for tile in range(6)]
    pixels = np.zeros((4, 4), np.uint8)
    inputs = ParityInputs((), {"small": dict.fromkeys(names, pixels), "large": {"one": pixels}}, PreprocessSpec())
    few = inputs.at_most(12)
    assert list(few.windows["large"]) == ["one"]
    assert len(few.windows["small"]) == 12
    assert {name.split(",")[0] for name in few.windows["small"]} == {f"image {image}" for image in range(8)}
