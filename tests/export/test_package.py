"""Checkpoint to bundle: what is written, that the SDK opens it, and that nothing is written when anything is wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import fundusrt_export.package as package
from fundusrt.bundle import Bundle
from fundusrt.certificate import REQUIRED_RUNGS
from fundusrt.errors import BundleError, CertificateError, InvalidInput, OutputError, UsageError
from fundusrt.loading import load
from fundusrt.verification import verify_bundle
from fundusrt_export.branch import Form
from fundusrt_export.cli import export
from fundusrt_export.errors import ParityError, RewriteDeclined
from fundusrt_export.golden_vectors import MAP_STEP, golden_source
from fundusrt_export.model_card import BundleInfo
from fundusrt_export.onnx_export import export_branch
from fundusrt_export.package import export_bundle
from fundusrt_training.checkpoints import save_checkpoint
from fundusrt_training.models.unet_wavelet import UNetWavelet
from tests.export.small_system import SIDE, angiogram, checkpoint, system_config, write_png

INFO = BundleInfo(name="tiny", version="3.1.4", training_data="random numbers")


_EXPORTED: dict[tuple[str, str, int], bytes] = {}


@pytest.fixture(scope="module", autouse=True)
def one_export_a_network() -> Iterator[None]:
    """The exporter takes seconds and is tested elsewhere; here one network is exported once."""

    def remembered(network: UNetWavelet, *, form: Form, size_px: int) -> bytes:
        weights = b"".join(value.numpy().tobytes() for value in network.state_dict().values())
        key = (hashlib.sha256(weights).hexdigest(), form, size_px)
        if key not in _EXPORTED:
            _EXPORTED[key] = export_branch(network, form=form, size_px=size_px)
        return _EXPORTED[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "export_branch", remembered)
        yield


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("material")
    return {
        "checkpoint": checkpoint(folder / "last.safetensors", wavelet_form="haar_identity"),
        "golden": write_png(folder / "golden.png", angiogram()),
        "patient": write_png(folder / "DOE_JANE_1950.png", angiogram(90, 130, seed=1)),
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
    assert opened.manifest.name == "tiny"
    assert opened.manifest.version == "3.1.4"
    assert opened.manifest.networks["small"].variants[0].form == "identity"
    assert [rung.name for rung in opened.certificate.rungs] == list(REQUIRED_RUNGS)
    assert all(rung.holds for rung in verify_bundle(str(bundle)))


def test_a_pipeline_runs_it(bundle: Path) -> None:
    with load(bundle, threads=1) as pipeline:
        result = pipeline(angiogram())
    golden = Bundle.open(bundle).read_image("golden/mask.png") > 0
    assert 0.05 < golden.mean() < 0.95
    assert np.mean(result.mask != golden) <= 1e-4


def test_the_certificate_says_what_was_measured_and_names_nobody(bundle: Path) -> None:
    text = (bundle / "certificate.json").read_text()
    content = json.loads(text)
    assert set(content["files"]) == {"large.onnx", "small.onnx"}
    assert content["environment"]["torch"]
    assert len(content["environment"]["checkpoint_sha256"]) == 64
    assert "small/parity image 1, tile 0,0" in content["rungs"][0]["inputs"]
    everything = b"".join(path.read_bytes() for path in bundle.rglob("*") if path.is_file())
    for leak in (b"DOE", b"JANE", str(bundle.parent).encode(), b"/home/", b"/root/"):
        assert leak not in everything


def test_the_model_card_has_the_figures(bundle: Path) -> None:
    card = (bundle / "MODEL_CARD.md").read_text()
    for part in (
        "# tiny 3.1.4",
        "random numbers",
        "base 8, levels 2, wave haar",
        "step 7",
        "| wavelet-rewrite | small, identity",
        "at most 1e-05",
        "Not a medical device",
    ):
        assert part in card


def test_golden_maps_are_pytorch_rounded_to_the_step(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    for name, shape in (("large", (SIDE, SIDE)), ("small", (2 * SIDE, 3 * SIDE))):
        values = opened.read_array(f"golden/{name}.npz")
        assert values.shape == shape
        assert values.dtype == np.float32
        assert np.array_equal(np.round(values / MAP_STEP) * MAP_STEP, values)


def test_no_leftovers(bundle: Path) -> None:
    assert [path.name for path in bundle.parent.iterdir()] == ["tiny"]
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert names == {*Bundle.open(bundle).manifest.files, "bundle.json"}


@pytest.mark.parametrize("name", ["small.onnx", "golden/large.npz", "MODEL_CARD.md", "certificate.json"])
def test_a_changed_byte_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    copied = Path(shutil.copytree(bundle, tmp_path / "copy"))
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(BundleError, match=name.rpartition("/")[2]):
        Bundle.open(copied)


def test_a_certificate_of_another_file_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Every hash of the manifest fits; the certificate was made for the file that was exchanged."""
    copied = Path(shutil.copytree(bundle, tmp_path / "copy"))
    content = (copied / "large.onnx").read_bytes()
    (copied / "small.onnx").write_bytes(content)
    manifest = json.loads((copied / "bundle.json").read_text())
    manifest["files"]["small.onnx"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (copied / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(CertificateError, match=r"no matching sha256 for small\.onnx"):
        Bundle.open(copied)


def test_one_file_and_the_same_bytes_again(bundle: Path, material: dict[str, Path], tmp_path: Path) -> None:
    lines: list[str] = []
    for name in ("first.frt", "second.frt"):
        export_bundle(
            material["checkpoint"],
            tmp_path / name,
            info=INFO,
            golden=material["golden"],
            parity_images=[material["patient"]],
            threads=1,
            progress=lines.append,
        )
    first, second = ((tmp_path / name).read_bytes() for name in ("first.frt", "second.frt"))
    assert first == second
    assert Bundle.open(tmp_path / "first.frt").sha256 == Bundle.open(bundle).sha256
    with zipfile.ZipFile(tmp_path / "first.frt") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert [line for line in lines if "DOES NOT HOLD" in line] == []
    assert sum(line.startswith("rung ") for line in lines) == 6


def test_the_default_golden_image_covers_two_by_two_tiles() -> None:
    image = golden_source(None)
    assert image.pixels.ndim == 2
    assert (image.height, image.width) == (768, 1000)
    assert 0.3 < image.fov.mean() < 1.0
    assert "/" not in image.source_id


# --- nothing is written


def fault_in(name: str, monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    if name == "rung 3":
        from fundusrt.stitching import Stitcher

        add = Stitcher.add
        monkeypatch.setattr(Stitcher, "add", lambda self, tile, values: add(self, tile, values[::-1]))
        return ParityError
    if name == "the golden vectors":
        from fundusrt_export import golden_vectors

        monkeypatch.setattr(golden_vectors, "_rounded", lambda values: values + np.float32(1e-3))
        return ParityError
    if name == "the runtime":
        from fundusrt.backends.onnxruntime import OnnxRuntimeSession

        run = OnnxRuntimeSession.run
        monkeypatch.setattr(
            OnnxRuntimeSession,
            "run",
            lambda self, feeds: {k: v * np.float32(0.999) for k, v in run(self, feeds).items()},
        )
        return ParityError
    monkeypatch.setattr(package, "export_branch", lambda *_, **__: b"no model")
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
    cases["got system 'ssmaf'; expected cmwnet"] = tmp_path / "other.safetensors"
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
    path = checkpoint(tmp_path / "db2.safetensors", wave="db2")
    with pytest.raises(RewriteDeclined, match="export the convolution form"):
        export_bundle(path, tmp_path / "out", info=INFO, golden=material["golden"])
    export_bundle(path, tmp_path / "out", info=INFO, golden=material["golden"], form="convolution", threads=1)
    rung = Bundle.open(tmp_path / "out").certificate.rungs[0]
    forms = [figure.metric.split(":")[0] for figure in rung.measurements]
    assert forms == ["large, convolution"] * 2 + ["small, convolution"] * 2


def test_a_bad_name_is_refused(material: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bundle, name: got 'Not A Name'"):
        export_bundle(
            material["checkpoint"], tmp_path / "out", info=BundleInfo(name="Not A Name"), golden=material["golden"]
        )


# --- command


def test_command(material: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "Leak.frt"
    arguments = [str(material["checkpoint"]), "-o", str(out), "--golden", str(material["golden"]), "--label", "exudate"]
    done = CliRunner().invoke(export, [*arguments, "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert "rung tiled-to-stitched holds" in done.output
    assert "torch-to-onnxruntime" in done.output.splitlines()[-6]
    manifest = Bundle.open(out).manifest
    assert (manifest.name, manifest.label) == ("leak", "exudate")
    again = CliRunner().invoke(export, arguments)
    assert again.exit_code != 0
    assert isinstance(again.exception, OutputError)
