"""A MAGE-Net checkpoint to a certified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fundusrt.bundle import Bundle
from fundusrt.enhancement_pipeline import EnhancementPipeline
from fundusrt.errors import InvalidInput, UsageError
from fundusrt.loading import load
from fundusrt.manifest import MageNetManifest
from fundusrt.verification import verify_bundle
from fundusrt_export.cli import export
from fundusrt_export.errors import ParityError
from fundusrt_export.mage_net_checkpoint import load_mage_net
from fundusrt_export.mage_net_deployed import deployed_enhancer, op_budget
from fundusrt_export.model_card import BundleInfo
from fundusrt_export.package import export_bundle
from fundusrt_export.systems import mage_net
from fundusrt_training.systems.mage_net_config import MageNetConfig
from tests.export.planted_faults import displace_the_way_back, plant
from tests.export.small_enhancement import INFO, SIDE, TEACHER, checkpoint, exported_teacher, network, system_config
from tests.export.small_exudate import photograph, write_photograph

RUNGS = ["deployed-form", "torch-to-onnxruntime", "runtimes", "end-to-end", "task"]
_EXPORTED: dict[int, bytes] = {}


@pytest.fixture(scope="module", autouse=True)
def one_export() -> Any:
    """The exporter takes long and is tested elsewhere; here each form of the teacher's network is exported once."""
    real = mage_net.export_mage_net
    _EXPORTED[op_budget(deployed_enhancer(network(TEACHER)))] = exported_teacher()

    def remembered(deployed: Any, height_px: int, width_px: int, **_: Any) -> bytes:
        budget = op_budget(deployed)  # the forms differ in their nodes
        if budget not in _EXPORTED:
            _EXPORTED[budget] = real(deployed, height_px, width_px)
        return _EXPORTED[budget]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mage_net, "export_mage_net", remembered)
        yield


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("material")
    return {
        "checkpoint": checkpoint(folder / "last.safetensors"),
        "golden": write_photograph(folder / "golden.png", photograph()),
        "patient": write_photograph(folder / "DOE_JANE_1950.png", photograph(90, 140, seed=5)),
    }


@pytest.fixture(scope="module")
def bundle(material: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "tiny"
    export_bundle(
        material["checkpoint"],
        out,
        info=INFO,
        golden=material["golden"],
        parity_images=[material["patient"]],
        threads=1,
    )
    return out


def test_the_sdk_opens_it_and_its_golden_vectors_hold(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    assert isinstance(manifest, MageNetManifest)
    assert [rung.name for rung in opened.certificate.rungs] == RUNGS
    assert {variant.file for variant in manifest.networks["enhancement"].variants} == {
        "enhancement.onnx", "enhancement-openvino.onnx", "enhancement-tensorrt.onnx",
    }  # fmt: skip
    assert [rung.name for rung in verify_bundle(str(bundle), backend="openvino") if not rung.holds] == []
    assert (manifest.frame.height_px, manifest.frame.width_px) == (SIDE, SIDE)
    assert (manifest.frame.outside, manifest.postprocess.to_native) == ("black", "residual")
    assert [rung.name for rung in verify_bundle(str(bundle)) if not rung.holds] == []


def test_a_pipeline_runs_it(bundle: Path) -> None:
    with load(bundle, threads=1) as pipeline:
        assert isinstance(pipeline, EnhancementPipeline)
        result = pipeline(photograph())
    golden = Bundle.open(bundle).read_image("golden/result.png")
    assert result.mean_change > 2
    assert np.mean(np.abs(result.image.astype(int) - golden) > 1) <= 1e-4


def test_card_and_certificate_say_what_it_is_and_name_nobody(bundle: Path) -> None:
    card = (bundle / "MODEL_CARD.md").read_text()
    for part in (
        "# tiny 1.4.1", "random numbers", "step 13", "weights of the teacher, side heads left out",
        "widths 8, 4, 4, 1 CABs a block; input 96 x 96 px", "| end-to-end | frame: max", "Not a medical device",
        "never read an enhanced image without the original",
    ):  # fmt: skip
        assert part in card
    assert "| marks |" not in card
    everything = b"".join(path.read_bytes() for path in bundle.rglob("*") if path.is_file())
    for leak in (b"DOE", b"JANE", str(bundle.parent).encode(), b"/home/", b"/root/"):
        assert leak not in everything


# --- which weights


def first_weight(made: Any) -> np.ndarray:
    return made.network.stage1.shallow[0].weight.detach().numpy()


@pytest.mark.parametrize(
    ("config", "settings", "seed"),
    [
        ({}, [], 1),
        ({"weights": "student"}, [], 0),
        ({}, ["export.weights=student"], 0),
        ({"weights": "student"}, ["export.weights=teacher"], 1),
        ({"teacher": False}, [], 0),
    ],
)
def test_the_teacher_is_deployed_where_there_is_one_unless_told_otherwise(
    tmp_path: Path, config: dict[str, Any], settings: list[str], seed: int
) -> None:
    written = system_config(**config)
    made = load_mage_net(checkpoint(tmp_path / "run.safetensors", written), settings)
    np.testing.assert_array_equal(first_weight(made), network(seed).stage1.shallow[0].weight.detach().numpy())
    assert made.weights == ("student", "teacher")[seed]
    if not settings:
        assert made.weights == written.deployed  # what validation and evaluation scored


@pytest.mark.parametrize(
    ("config", "torn", "settings"),
    [(system_config(teacher=False), False, ["export.weights=teacher"]), (system_config(), True, [])],
)
def test_a_missing_teacher_is_an_error_that_names_the_fix(
    tmp_path: Path, config: MageNetConfig, torn: bool, settings: list[str]
) -> None:
    path = checkpoint(tmp_path / "alone.safetensors", config, torn=torn)
    message = (
        r"alone.safetensors: got no weights of the teacher; expected tensors teacher.\*, as export.weights asks; "
        "export the other network with --set export.weights=student, or train with teacher.enabled true"
    )
    with pytest.raises(InvalidInput, match=message):
        export_bundle(path, tmp_path / "out", info=INFO, settings=settings)
    assert load_mage_net(path, ["export.weights=student"]).weights == "student"
    assert not (tmp_path / "out").exists()


# --- refusals


def fault_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "the way back":
        displace_the_way_back(monkeypatch, 2)
    elif name == "the rewrite":
        real_form = mage_net.deployed_enhancer

        def drifted(net: Any, **named: Any) -> Any:
            made = real_form(net, **named)
            made.stage2.to_image.weight.data *= 1.001
            return made

        monkeypatch.setattr(mage_net, "deployed_enhancer", drifted)
    else:
        plant(name, monkeypatch)


@pytest.mark.parametrize("fault", ["the way back", "the golden vectors", "the rewrite", "the runtime"])
def test_a_fault_leaves_nothing_but_what_shows_it(
    fault: str, material: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault_in(fault, monkeypatch)
    with pytest.raises(ParityError):
        export_bundle(material["checkpoint"], tmp_path / "out", info=INFO, golden=material["golden"], threads=1)
    in_the_file = fault in ("the rewrite", "the runtime")
    assert [path.name for path in tmp_path.iterdir()] == (["out-divergence"] if in_the_file else [])


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"teacher: got NaN or infinity in sam.mask.weight; expected finite weights"):
        export_bundle(checkpoint(tmp_path / "x.safetensors", broken=True), tmp_path / "out", info=INFO)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["export.weights=both"], "expected Input should be 'teacher' or 'student'"),
        (["post.to_native=tiles"], "expected Input should be 'residual' or 'direct'"),
        (["frame.height_px=80"], "frame: got 80 x 96 px; expected multiples of 16, at least 96"),
        (["frame.width_px=100"], "frame: got 96 x 100 px; expected multiples of 16"),
        (
            ["post.threshold=0.5"],
            "got 'post.threshold'; expected NAME=VALUE with one of export.weights, ",
        ),
    ],
)
def test_settings_that_are_refused(
    material: dict[str, Path], tmp_path: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_bundle(material["checkpoint"], tmp_path / "out", info=INFO, settings=settings)


def test_a_label_or_a_form_is_refused(material: dict[str, Path], tmp_path: Path) -> None:
    info = BundleInfo(name="tiny", label="exudates")
    with pytest.raises(UsageError, match="--label: got 'exudates'; expected none: this system makes no masks"):
        export_bundle(material["checkpoint"], tmp_path / "out", info=info)
    with pytest.raises(UsageError, match="--form: got convolution; expected no form: MAGE-Net has no wavelets"):
        export_bundle(material["checkpoint"], tmp_path / "out", info=INFO, form="convolution")


def test_command(material: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "Enhance.frt"
    arguments = [str(material["checkpoint"]), "-o", str(out), "--golden", str(material["golden"]), "--threads", "1"]
    done = CliRunner().invoke(export, [*arguments, "--set", "post.to_native=direct"])
    assert done.exit_code == 0, done.output
    for name in ("deployed-form", "torch-to-onnxruntime", "end-to-end", "task"):
        assert f"rung {name} holds" in done.output
    manifest = Bundle.open(out).manifest
    assert isinstance(manifest, MageNetManifest)
    assert (manifest.name, manifest.postprocess.to_native) == ("enhance", "direct")
