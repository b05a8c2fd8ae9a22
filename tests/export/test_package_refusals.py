"""Checkpoint to bundle: nothing is written when anything is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

import fundusrt_export.systems.cmwnet as cmwnet
from fundusrt.bundle import Bundle
from fundusrt.errors import BundleError, InvalidInput, OutputError, UsageError
from fundusrt_export.errors import ParityError, RewriteDeclined
from fundusrt_export.model_card import BundleInfo
from fundusrt_export.package import export_bundle
from fundusrt_export.parity import DivergenceError
from fundusrt_training.checkpoints import save_checkpoint
from tests.export.planted_faults import plant
from tests.export.small_system import INFO, angiogram, checkpoint, system_config, write_png

pytestmark = pytest.mark.usefixtures("one_export_a_network")


def fault_in(name: str, monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    if name == "rung 3":
        from fundusrt.stitching import Stitcher

        add = Stitcher.add
        monkeypatch.setattr(Stitcher, "add", lambda self, tile, values: add(self, tile, values[::-1]))
        return ParityError
    if name in ("the golden vectors", "the runtime"):
        plant(name, monkeypatch)
        return ParityError
    monkeypatch.setattr(cmwnet, "export_branch", lambda *_, **__: b"no model")
    return BundleError


@pytest.mark.parametrize("fault", ["rung 3", "the golden vectors", "the runtime", "the file"])
@pytest.mark.parametrize("name", ["out", "out.frt"])
def test_a_fault_leaves_nothing_behind(
    fault: str, name: str, material: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = fault_in(fault, monkeypatch)
    with pytest.raises(error):
        export_bundle(material["checkpoint"], tmp_path / name, info=INFO, golden=material["golden"], threads=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out", "out.frt"])
def test_a_faulty_file_leaves_what_shows_the_fault(
    name: str, material: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = cmwnet.export_branch

    def faulty(network: Any, **options: Any) -> bytes:
        model = onnx.load_model_from_string(real(network, **options))
        relu = next(node for node in model.graph.node if node.name == "Relu_3")
        relu.op_type = "Identity"
        return model.SerializeToString()

    monkeypatch.setattr(cmwnet, "export_branch", faulty)
    message = r"network 'large': .* first diverging tensor is Relu_3_out of node Relu_3, layer 'network.encoder.1.5'"
    with pytest.raises(DivergenceError, match=message) as caught:
        export_bundle(material["checkpoint"], tmp_path / name, info=INFO, golden=material["golden"], threads=1)
    assert f"run reproduce.py in {tmp_path / 'out-divergence'}" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["out-divergence"]
    assert (tmp_path / "out-divergence" / "graph.onnx").stat().st_size < 1000


@pytest.mark.parametrize("name", ["old", "old.frt"])
def test_an_existing_bundle_is_only_replaced_on_demand(
    name: str, bundle: Path, material: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / name
    arguments: dict[str, Any] = {"info": INFO, "golden": material["golden"], "threads": 1}
    if name == "old":
        shutil.copytree(bundle, out)
        (out / "extra").write_text("of the old bundle")
    else:
        out.write_bytes(b"old")
    with pytest.raises(
        OutputError, match="it exists already; expected a new name; choose another, or pass --overwrite"
    ):
        export_bundle(material["checkpoint"], out, **arguments)
    with monkeypatch.context() as patch:  # a failing export keeps the old one
        fault_in("the golden vectors", patch)
        with pytest.raises(ParityError):
            export_bundle(material["checkpoint"], out, overwrite=True, **arguments)
        assert (out / "extra").exists() if name == "old" else out.read_bytes() == b"old"
    export_bundle(material["checkpoint"], out, overwrite=True, **arguments)
    assert Bundle.open(out).manifest.name == "tiny"
    assert not (out / "extra").exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_no_bundle_is_never_replaced(material: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(OutputError, match="something that is no bundle"):
        export_bundle(material["checkpoint"], tmp_path / "photos", info=INFO, overwrite=True)
    with pytest.raises(OutputError, match="no folder"):
        export_bundle(material["checkpoint"], tmp_path / "absent" / "out", info=INFO)


def test_checkpoints_that_cannot_be_used(tmp_path: Path) -> None:
    cases = {
        "got no tensors of the branch 'large'": checkpoint(tmp_path / "one.safetensors", roles=("small",)),
        "branch 'large': got NaN or infinity in": checkpoint(tmp_path / "nan.safetensors", broken=True),
        "expected a checkpoint written by `fundusrt train`": write_png(tmp_path / "picture.png", angiogram()),
    }
    config = system_config().to_dict()
    baseline = system_config(backbone="unet").to_dict()
    save_checkpoint(tmp_path / "baseline.safetensors", {}, baseline)
    cases["got backbone unet; expected unet_wavelet"] = tmp_path / "baseline.safetensors"
    save_checkpoint(tmp_path / "other.safetensors", {}, config, system="ssmaf")
    cases["got system 'ssmaf'; expected cmwnet or ss-maf"] = tmp_path / "other.safetensors"
    wrong = {f"{role}.head.weight": np_tensor() for role in ("large", "small")}
    save_checkpoint(tmp_path / "wrong.safetensors", wrong, config)
    cases["expected tensors of the configuration's network"] = tmp_path / "wrong.safetensors"
    for message, path in cases.items():
        with pytest.raises(InvalidInput, match=message.replace("(", r"\(")):
            export_bundle(path, tmp_path / "out", info=INFO)
    assert not (tmp_path / "out").exists()


def np_tensor() -> Any:
    import torch

    return torch.zeros(1)


def test_a_network_without_the_form_is_declined(material: dict[str, Path], tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "db2.safetensors", wave="db2", levels=1)
    given: dict[str, Any] = {"info": INFO, "golden": material["golden"], "targets": ["onnxruntime"], "threads": 1}
    with pytest.raises(RewriteDeclined, match="export the convolution form"):
        export_bundle(path, tmp_path / "out", **given)
    export_bundle(path, tmp_path / "out", form="convolution", **given)
    rungs = {rung.name: rung for rung in Bundle.open(tmp_path / "out").certificate.rungs}
    forms = [figure.metric.split(":")[0] for figure in rungs["wavelet-rewrite"].measurements]
    assert "small, convolution: max |difference| / range" in [
        figure.metric for figure in rungs["wavelet-matrix"].measurements
    ]
    assert forms == ["large, convolution"] * 2 + ["small, convolution"] * 2


def test_a_bad_name_is_refused(material: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bundle, name: got 'Not A Name'"):
        export_bundle(
            material["checkpoint"], tmp_path / "out", info=BundleInfo(name="Not A Name"), golden=material["golden"]
        )
