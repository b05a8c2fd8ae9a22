"""The bundles in the package, as a user runs them: certified, small enough, on a folder of mixed images."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import fundusrt
from fundusrt.bundle import shipped_bundles
from fundusrt.systems import system_of
from fundusrt.testing import tiny_image, tiny_photograph
from fundusrt.verification import verify_bundle
from tests.sdk.command_line import invoke

MIB = 2**20
LARGEST = {"leakage": 16 * MIB, "exudate": 16 * MIB, "enhance": 32 * MIB}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour and grey, 8 and 16 bit, four formats, wide and high."""
    folder = tmp_path_factory.mktemp("mixed")
    colour = cv2.cvtColor(tiny_photograph(301, 397), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "colour.jpg"), colour)
    cv2.imwrite(str(folder / "high.png"), np.ascontiguousarray(np.rot90(colour)))
    cv2.imwrite(str(folder / "grey.bmp"), tiny_image(257, 311))
    cv2.imwrite(str(folder / "deep.tif"), tiny_image(200, 300).astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "black.png"), np.zeros((120, 160), np.uint8))
    return folder


def test_three_are_shipped() -> None:
    assert set(shipped_bundles()) == set(LARGEST)


@pytest.mark.parametrize("name", LARGEST)
def test_size_and_identity(name: str) -> None:
    bundle = fundusrt.Bundle.open(name)
    assert bundle.manifest.name == name
    files = [file for file in shipped_bundles()[name].rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= LARGEST[name]
    card = bundle.read_bytes(bundle.manifest.model_card).decode()
    for text in ("Not a medical device", "training data", "results", "limits", "95 %"):
        assert text in card


@pytest.mark.parametrize("name", LARGEST)
def test_golden_answers_are_given_here(name: str) -> None:
    rungs = verify_bundle(name)
    assert [rung.name for rung in rungs if not rung.holds] == []
    assert len(rungs) >= 2
    # the figures of the export stand beside those of this machine
    exported = {rung.name: rung.measurements for rung in fundusrt.Bundle.open(name).certificate.rungs}
    beside = {rung.name: rung.certified[0] for rung in rungs}
    assert beside.pop("preprocessing") is None
    answers = [figure for stage, figure in beside.items() if stage.startswith(("network", "mask"))]
    assert answers
    last = exported.get("tiled-to-stitched") or exported["end-to-end"]
    assert all(figure in last for figure in answers)


@pytest.mark.parametrize("name", LARGEST)
def test_a_folder_of_mixed_images(name: str, mixed: Path, tmp_path: Path) -> None:
    done = invoke("run", mixed, "-m", name, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "5 done, 0 failed" in done.stdout
    manifest = fundusrt.Bundle.open(name).manifest
    for file in mixed.iterdir():
        size = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).shape[:2]
        for kind in system_of(manifest).result.PICTURES:
            assert cv2.imread(str(tmp_path / "out" / f"{file.stem}_{kind}.png"), cv2.IMREAD_UNCHANGED).shape[:2] == size
        document = json.loads((tmp_path / "out" / f"{file.stem}_result.json").read_text())
        assert document["quality"]["gradable"] == (file.stem != "black")
        assert document["provenance"]["bundle"] == name
