"""Checkpoint to bundle: what is written, and that the SDK opens it."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fundusrt.bundle import Bundle
from fundusrt.errors import BundleError, CertificateError, OutputError, UsageError
from fundusrt.loading import load
from fundusrt.verification import verify_bundle
from fundusrt_export.cli import export
from fundusrt_export.golden_vectors import MAP_STEP, golden_angiogram, golden_photograph
from fundusrt_export.package import export_bundle
from fundusrt_export.passes import graph_statistics
from tests.export.small_system import INFO, SIDE, angiogram

pytestmark = pytest.mark.usefixtures("one_export_a_network")


def test_the_sdk_opens_it_and_its_golden_vectors_hold(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.manifest.name == "tiny"
    assert opened.manifest.version == "3.1.4"
    assert opened.manifest.networks["small"].variants[0].form == "identity"
    assert [rung.name for rung in opened.certificate.rungs] == [
        "wavelet-matrix",
        "wavelet-rewrite",
        "torch-to-onnxruntime",
        "runtimes",
        "tiled-to-stitched",
        "cgnr",
        "task",
    ]
    assert {rung.name for rung in opened.certificate.rungs} == set(opened.manifest.needed_rungs())
    rungs = verify_bundle(str(bundle))
    assert all(rung.holds for rung in rungs)
    # what is measured again here stands beside what was certified
    assert [[figure is not None for figure in rung.certified] for rung in rungs] == [
        [False, False],
        [True],
        [True, True],
        [False],
        [True] * 4,
        [True] * 6,
    ]


def test_openvino_gives_the_same_masks(bundle: Path) -> None:
    assert [rung.name for rung in verify_bundle(str(bundle), backend="openvino") if not rung.holds] == []
    masks = []
    for backend in ("onnxruntime", "openvino"):
        with load(bundle, backend=backend, threads=1) as pipeline:
            masks.append(pipeline(angiogram()).mask)
    assert 0.05 < masks[0].mean() < 0.95
    assert np.mean(masks[0] != masks[1]) <= 1e-4


def test_every_target_has_a_graph_of_its_own_and_they_share_their_weights(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    for name, network in opened.manifest.networks.items():
        assert [variant.target for variant in network.variants] == ["onnxruntime", "openvino", "tensorrt"]
        assert {variant.weights for variant in network.variants} == {f"{name}.weights"}
        contents = [opened.network_bytes(variant) for variant in network.variants]
        kinds = [graph_statistics(content).operators for content in contents]
        assert kinds[0]["ReduceMean"] == 4 * 10
        assert kinds[1]["ReduceMean"] == 8 * 10
        assert kinds[2]["InstanceNormalization"] == 10
        alone = sum(len(content) for content in contents)
        shared = sum(
            opened.manifest.files[file].bytes for file in {*(v.file for v in network.variants), f"{name}.weights"}
        )
        assert shared < 0.7 * alone
    figures = [f for rung in opened.certificate.rungs if rung.name == "runtimes" for f in rung.measurements]
    assert len(figures) == 2 * 3 * 3


def test_fewer_targets(material: dict[str, Path], tmp_path: Path) -> None:
    given: dict[str, Any] = {"info": INFO, "golden": material["golden"], "threads": 1}
    export_bundle(material["checkpoint"], tmp_path / "one", targets=["onnxruntime"], **given)
    manifest = Bundle.open(tmp_path / "one").manifest
    assert manifest.network_files() == ["large.onnx", "small.onnx"]
    assert manifest.needed_rungs() == manifest.required_rungs
    with pytest.raises(UsageError, match=r"targets: got openvino; expected onnxruntime, which the others are compared"):
        export_bundle(material["checkpoint"], tmp_path / "two", targets=["openvino"], **given)


def test_variants_without_their_rung_are_refused(bundle: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(bundle, tmp_path / "copy"))
    certificate = json.loads((copied / "certificate.json").read_text())
    certificate["rungs"] = [rung for rung in certificate["rungs"] if rung["name"] != "runtimes"]
    content = json.dumps(certificate).encode()
    (copied / "certificate.json").write_bytes(content)
    manifest = json.loads((copied / "bundle.json").read_text())
    manifest["files"]["certificate.json"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (copied / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(CertificateError, match="got no rung runtimes"):
        Bundle.open(copied)


def test_a_pipeline_runs_it(bundle: Path) -> None:
    with load(bundle, threads=1) as pipeline:
        result = pipeline(angiogram())
    golden = Bundle.open(bundle).read_image("golden/mask.png") > 0
    assert 0.05 < golden.mean() < 0.95
    assert np.mean(result.mask != golden) <= 1e-4


def test_the_certificate_says_what_was_measured_and_names_nobody(bundle: Path) -> None:
    text = (bundle / "certificate.json").read_text()
    content = json.loads(text)
    assert set(content["files"]) == {
        f"{role}{end}"
        for role in ("large", "small")
        for end in (".onnx", "-openvino.onnx", "-tensorrt.onnx", ".weights")
    }
    assert content["environment"]["torch"]
    assert len(content["environment"]["checkpoint_sha256"]) == 64
    rungs = {rung["name"]: rung for rung in content["rungs"]}
    assert "small/parity image 1, tile 0,0" in rungs["wavelet-rewrite"]["inputs"]
    assert all(len(digest) == 64 for rung in rungs.values() for digest in rung["inputs"].values())
    assert all(rung["inputs"] for rung in rungs.values())
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
    assert sum(line.startswith("rung ") for line in lines) == 14


def test_the_default_golden_image_covers_two_by_two_tiles() -> None:
    image = golden_angiogram(None)
    assert image.pixels.ndim == 2
    assert (image.height, image.width) == (768, 1000)
    assert 0.3 < image.fov.mean() < 1.0
    assert "/" not in image.source_id


def test_the_default_golden_photograph_tells_its_channels_apart() -> None:
    image = golden_photograph(None)
    assert image.pixels.shape == (768, 1000, 3)
    red, green, blue = (image.pixels[..., k].astype(int) for k in range(3))
    bright = green > 20
    assert bright.mean() > 0.2
    assert (red[bright] > green[bright]).mean() > 0.95
    assert (green[bright] > blue[bright]).all()


# --- command


def test_command(material: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "Leak.frt"
    arguments = [str(material["checkpoint"]), "-o", str(out), "--golden", str(material["golden"]), "--label", "exudate"]
    done = CliRunner().invoke(export, [*arguments, "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert "rung tiled-to-stitched holds" in done.output
    figures = [line.split()[0] for line in done.output.splitlines() if line.startswith("  ") and "<=" in line]
    assert {"torch-to-onnxruntime", "runtimes", "tiled-to-stitched", "cgnr"} <= set(figures)
    manifest = Bundle.open(out).manifest
    assert (manifest.name, manifest.label) == ("leak", "exudate")
    again = CliRunner().invoke(export, arguments)
    assert again.exit_code != 0
    assert isinstance(again.exception, OutputError)
