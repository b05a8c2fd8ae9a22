"""An SS-MAF checkpoint to a certified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fundusrt.bundle import Bundle
from fundusrt.errors import InvalidInput, UsageError
from fundusrt.exudate_pipeline import ExudatePipeline
from fundusrt.loading import load
from fundusrt.manifest import SsMafManifest
from fundusrt.verification import verify_bundle
from fundusrt_export.cli import export
from fundusrt_export.errors import ParityError
from fundusrt_export.model_card import BundleInfo
from fundusrt_export.package import export_bundle
from fundusrt_training.checkpoints import save_checkpoint
from tests.export.planted_faults import displace_the_way_back, plant
from tests.export.small_exudate import INFO, SIZE, checkpoint, network, photograph, system_config, write_photograph


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
        material["checkpoint"], out, info=INFO, golden=material["golden"], parity_images=[material["patient"]],
        settings=["post.threshold=0.45"], threads=1,
    )  # fmt: skip
    return out


def test_the_sdk_opens_it_and_its_golden_vectors_hold(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    assert isinstance(manifest, SsMafManifest)
    assert [rung.name for rung in opened.certificate.rungs] == [
        "deployed-form", "torch-to-onnxruntime", "runtimes", "end-to-end", "task",
    ]  # fmt: skip
    variants = manifest.networks["segmentation"].variants
    assert [(each.target, each.file, each.weights) for each in variants] == [
        (target, "segmentation.onnx", None) for target in ("onnxruntime", "openvino", "tensorrt")
    ]
    assert [rung.name for rung in verify_bundle(str(bundle), backend="openvino") if not rung.holds] == []
    assert (manifest.frame.height_px, manifest.frame.width_px, manifest.output_scale) == (*SIZE, 2)
    assert (manifest.input.colour, manifest.input.mean, manifest.input.std) == ("rgb", (0.5,) * 3, (0.5,) * 3)
    assert (manifest.postprocess.threshold, manifest.postprocess.upsample) == (0.45, "bilinear")
    assert manifest.frame.outside == "kept"
    assert manifest.label == "hard exudates"
    assert [rung.name for rung in verify_bundle(str(bundle)) if not rung.holds] == []


def test_a_pipeline_runs_it(bundle: Path) -> None:
    with load(bundle, threads=1) as pipeline:
        assert isinstance(pipeline, ExudatePipeline)
        result = pipeline(photograph())
    golden = Bundle.open(bundle).read_image("golden/mask.png") > 0
    assert 0.05 < golden.mean() < 0.95
    assert np.mean(result.mask != golden) <= 1e-4


def test_card_and_certificate_say_what_it_is_and_name_nobody(bundle: Path) -> None:
    card = (bundle / "MODEL_CARD.md").read_text()
    for part in (
        "# tiny 2.7.1", "| marks | hard exudates |", "random numbers", "step 11",
        "base 4, classes 2; input rgb, 32 x 48 px",
        "| deployed-form | max", "| end-to-end | mask: share of pixels that differ", "Not a medical device",
        "SS-MAF: segmentation stream of a network trained as `full`",
    ):  # fmt: skip
        assert part in card
    everything = b"".join(path.read_bytes() for path in bundle.rglob("*") if path.is_file())
    for leak in (b"DOE", b"JANE", str(bundle.parent).encode(), b"/home/", b"/root/"):
        assert leak not in everything
    assert b"parity image 1, frame" in everything


# --- refusals


def fault_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "the way back":
        displace_the_way_back(monkeypatch, 1)
    elif name == "the rewrite":
        from fundusrt_export.systems import ss_maf

        real_stream = ss_maf.deployed_stream

        def drifted(net: Any, *, example: Any) -> Any:
            made = real_stream(net, example=example)
            made.seg_head.conv.bias.data += 1e-3
            return made

        monkeypatch.setattr(ss_maf, "deployed_stream", drifted)
    else:
        plant(name, monkeypatch)


@pytest.mark.parametrize("fault", ["the way back", "the golden vectors", "the rewrite", "the runtime"])
def test_a_fault_leaves_nothing_behind(
    fault: str, material: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault_in(fault, monkeypatch)
    with pytest.raises(ParityError):
        export_bundle(material["checkpoint"], tmp_path / "out", info=INFO, golden=material["golden"], threads=1)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_that_cannot_be_used(tmp_path: Path) -> None:
    state = {f"network.{name}": value for name, value in network().state_dict().items()}
    save_checkpoint(tmp_path / "wrong.safetensors", state, system_config(base=8).to_dict(), system="ss-maf")
    cases = {
        "got NaN or infinity in": checkpoint(tmp_path / "nan.safetensors", broken=True),
        "got no tensors of the part 'network'": checkpoint(tmp_path / "other.safetensors", part="large"),
        "expected tensors of the configuration's network": tmp_path / "wrong.safetensors",
    }
    for message, path in cases.items():
        with pytest.raises(InvalidInput, match=message):
            export_bundle(path, tmp_path / "out", info=INFO)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["post.threshold=0"],
            r"--set post.threshold=0: got '0'; expected Input should be greater than or equal to",
        ),
        (["post.upsample=cubic"], "expected Input should be 'bilinear' or 'nearest'"),
        (["net.base=8"], "got 'net.base'; expected NAME=VALUE with one of frame.height_px, .*, post.threshold"),
        (["threshold"], "got no =; expected NAME=VALUE"),
        (["frame.height_px=40"], "frame: got 40 x 48 px; expected multiples of 16; change frame.height_px"),
    ],
)
def test_settings_that_are_refused(
    material: dict[str, Path], tmp_path: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_bundle(material["checkpoint"], tmp_path / "out", info=INFO, settings=settings)


def test_a_form_is_refused(material: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="--form: got identity; expected no form: SS-MAF has no wavelets; leave --form"
    ):
        export_bundle(material["checkpoint"], tmp_path / "out", info=INFO, form="identity")


def test_a_bad_name_is_refused_before_any_work(material: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bundle, name: got 'Not A Name'"):
        export_bundle(material["checkpoint"], tmp_path / "out", info=BundleInfo(name="Not A Name"))


def test_command(material: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "Exudate.frt"
    arguments = [str(material["checkpoint"]), "-o", str(out), "--golden", str(material["golden"]), "--threads", "1"]
    done = CliRunner().invoke(export, [*arguments, "--set", "frame.width_px=64", "--set", "post.upsample=nearest"])
    assert done.exit_code == 0, done.output
    for name in ("deployed-form", "torch-to-onnxruntime", "end-to-end", "task"):
        assert f"rung {name} holds" in done.output
    manifest = Bundle.open(out).manifest
    assert isinstance(manifest, SsMafManifest)
    assert (manifest.name, manifest.frame.width_px, manifest.postprocess.upsample) == ("exudate", 64, "nearest")
