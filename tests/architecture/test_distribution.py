"""What is published: the version, the wheel, the shipped bundle, and nothing of the place where it was made."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import fundusrt

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {"fundusrt": "sdk", "fundusrt_training": "training", "fundusrt_export": "export"}


def project_files() -> list[Path]:
    """Every file of the project: what git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: cannot tell the project's files from others")
    names = listed.stdout.decode().split("\0")
    return [REPOSITORY / name for name in names if name and (REPOSITORY / name).is_file()]


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert next(heading for heading in headings if heading.lower() != "unreleased") == fundusrt.__version__


def test_no_file_names_a_place_on_the_machine_it_was_made_on() -> None:
    places = re.compile(re.escape(str(REPOSITORY).encode()) + rb"(?![\w.-])")
    found = [
        f"{path.relative_to(REPOSITORY)}: {match.group().decode()}"
        for path in project_files()
        if path.suffix not in (".png", ".jpg", ".onnx", ".npz", ".safetensors")
        for match in places.finditer(path.read_bytes())
        if path != Path(__file__).resolve()
    ]
    assert found == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    assert path.name == f"fundusrt-{fundusrt.__version__}-py3-none-any.whl"
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {*PACKAGES, f"fundusrt-{fundusrt.__version__}.dist-info"}
    assert not [name for name in names if "test_" in name or "conftest" in name or "__pycache__" in name]
    assert "fundusrt/py.typed" in names


def test_every_file_of_the_packages_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    expected = {
        path.relative_to(REPOSITORY / folder).as_posix()
        for package, folder in PACKAGES.items()
        for path in project_files()
        if path.is_relative_to(REPOSITORY / folder / package)
    }
    assert sorted(expected - names) == []
    assert len(expected) > 60


def test_the_wheel_ships_the_kernels_compiled_and_as_sources(wheel: zipfile.ZipFile) -> None:
    """Installing needs no CUDA toolkit: the fat binary is there, and it is the one that its record describes."""
    folder = "fundusrt/kernels"
    record = json.loads(wheel.read(f"{folder}/fundusrt_cuda13.json"))
    binary = wheel.read(f"{folder}/fundusrt_cuda13.fatbin")
    assert hashlib.sha256(binary).hexdigest() == record["fatbin_sha256"]
    assert {f"{folder}/{name}" for name in ("all.cu", "fuse.cu", "kernels.cuh")} <= set(wheel.namelist())


def test_the_wheel_s_metadata(wheel: zipfile.ZipFile) -> None:
    info = f"fundusrt-{fundusrt.__version__}.dist-info"
    metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    extras = set(metadata.get_all("Provides-Extra", []))
    assert {"cpu", "gpu", "tensorrt", "tensorrt-rtx", "openvino", "train", "export", "dev"} <= extras
    always = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert not [line for line in always if re.match(r"torch|onnx|lightning|monai|scipy", line)]
    assert "fundusrt = fundusrt.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert [name for name in wheel.namelist() if name.startswith(f"{info}/licenses/")]


@pytest.mark.parametrize("name", ["leakage", "exudate", "enhance"])
def test_the_wheel_ships_the_bundles_and_the_sample(wheel: zipfile.ZipFile, name: str) -> None:
    names = set(wheel.namelist())
    assert "fundusrt/samples/angiogram.jpg" in names
    shipped = REPOSITORY / "sdk" / "fundusrt" / "models" / name
    files = {path.relative_to(shipped).as_posix() for path in shipped.rglob("*") if path.is_file()}
    assert "bundle.json" in files
    assert {f"fundusrt/models/{name}/{file}" for file in files} <= names


@pytest.mark.parametrize("name", ["leakage", "exudate", "enhance"])
def test_a_shipped_bundle_says_what_it_is_not_for(name: str) -> None:
    bundle = fundusrt.Bundle.open(name)
    card = bundle.read_bytes(bundle.manifest.model_card).decode().lower()
    for text in (card, bundle.manifest.intended_use.lower()):
        assert re.search(r"not\b.*\bclinical", text, re.DOTALL)


def test_the_leakage_card_says_that_its_images_were_generated() -> None:
    bundle = fundusrt.Bundle.open("leakage")
    assert "generated" in bundle.read_bytes(bundle.manifest.model_card).decode().lower()
