"""Each system has all its pieces, and its bundle goes through every command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest

import fundusrt
from fundusrt.manifest import AnyManifest
from fundusrt.systems import SYSTEMS, system_of
from fundusrt.testing import tiny_bundle, tiny_enhancement_bundle, tiny_exudate_bundle
from fundusrt.verification import verify_bundle
from tests.sdk.bundle_attacks import reseal
from tests.sdk.command_line import invoke

BUNDLES: dict[str, Callable[[Path], Path]] = {
    "cmwnet": lambda folder: tiny_bundle(folder, tile_px=64, whole_px=64),
    "ss-maf": tiny_exudate_bundle,
    "mage-net": tiny_enhancement_bundle,
}


@pytest.fixture(scope="module", params=sorted(BUNDLES))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return BUNDLES[request.param](tmp_path_factory.mktemp("bundles") / request.param)


def test_every_manifest_has_a_system() -> None:
    named = {get_args(kind.model_fields["system"].annotation)[0] for kind in get_args(AnyManifest)}
    assert named == set(SYSTEMS) == set(BUNDLES)


def test_its_golden_vectors_hold(bundle: Path) -> None:
    rungs = verify_bundle(str(bundle))
    assert rungs[0].name == "preprocessing"
    assert [rung.name for rung in rungs if not rung.holds] == []
    assert invoke("verify", bundle).exit_code == 0


def test_a_golden_map_that_differs_fails_its_rung(bundle: Path, tmp_path: Path) -> None:
    golden = fundusrt.Bundle.open(bundle).manifest.golden
    arrays = [name for name in golden.model_dump().values() if name.endswith(".npz")]
    answers = [name for name in arrays if name not in golden.preprocessed.values()]
    assert answers
    for stage, name in enumerate(answers):
        copy = tmp_path / str(stage)
        shutil.copytree(bundle, copy)
        array = np.load(copy / name)["arr_0"]
        array.flat[array.size // 2] += np.float32(2e-4)
        np.savez(copy / name, array)
        reseal(copy)
        failed = [rung.name for rung in verify_bundle(str(copy)) if not rung.holds]
        assert len(failed) == 1
        assert failed[0].startswith("network")
        assert invoke("verify", copy).exit_code == 3


def test_run_writes_its_pictures_and_says_so(bundle: Path, tmp_path: Path) -> None:
    manifest = fundusrt.Bundle.open(bundle).manifest
    pictures = system_of(manifest).result.PICTURES
    eye = tmp_path / "eye.png"
    eye.write_bytes((bundle / manifest.golden.image).read_bytes())
    out = tmp_path / "out"
    done = invoke("run", eye, "-m", bundle, "-o", out, "--json")
    assert done.exit_code == 0
    (entry,) = json.loads(done.stdout)["results"]
    assert set(entry["files"]) == {*pictures, "result"}
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*(f"eye_{kind}.png" for kind in pictures), "eye_result.json"]
    )
    for kind in pictures:
        assert cv2.imread(str(out / f"eye_{kind}.png"), cv2.IMREAD_UNCHANGED).shape[:2] == (144, 208)


def test_run_never_replaces_an_input_with_one_of_its_pictures(bundle: Path, tmp_path: Path) -> None:
    manifest = fundusrt.Bundle.open(bundle).manifest
    for kind in system_of(manifest).result.PICTURES:
        for name in ("eye.png", f"eye_{kind}.png"):
            (tmp_path / name).write_bytes((bundle / manifest.golden.image).read_bytes())
        done = invoke("run", tmp_path / "eye.png", tmp_path / f"eye_{kind}.png", "-m", bundle, "-o", tmp_path)
        assert done.exit_code == 2
        assert "got an input that the result of eye.png would replace" in done.stderr


def test_inspect_describes_it(bundle: Path) -> None:
    manifest: Any = fundusrt.Bundle.open(bundle).manifest
    done = invoke("inspect", bundle)
    assert done.exit_code == 0
    assert f"tiny 1.0.0  ({manifest.system}, {manifest.task})" in done.stdout
    described = system_of(manifest).describe(manifest)
    assert len(described) >= 3
    for title, text in described:
        assert f"{title:<14}{text}" in done.stdout
    for rung in manifest.required_rungs:
        assert rung in done.stdout


def test_demo_finds_an_image_for_it(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = fundusrt.Bundle.open(bundle).manifest
    monkeypatch.setattr("fundusrt.commands.demo.sample_path", lambda: bundle / manifest.golden.image)
    done = invoke("demo", "-m", bundle, "-o", tmp_path / "out")
    assert done.exit_code == 0
    assert "144 x 208 px" in done.stdout
    assert len(list((tmp_path / "out").iterdir())) == len(system_of(manifest).result.PICTURES) + 1


def test_doctor_runs_every_shipped_bundle(
    tmp_path: Path, bundle: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fundusrt.bundle.shipped_bundles", lambda: {"leakage": tiny, "other": bundle})
    done = invoke("doctor", "--json")
    findings = {each["what"]: each for each in json.loads(done.stdout)["findings"]}
    assert done.exit_code == 0
    for name in ("leakage", "other"):
        assert findings[f"{name} on onnxruntime, cpu, fp32"]["detail"] == "golden vectors reproduced"
