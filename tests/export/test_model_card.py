"""Known failures of a model card: their pictures go into the bundle, hashed like all else."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fundusrt.bundle import Bundle
from fundusrt.errors import BundleError, InvalidInput
from fundusrt_export.cli import export
from fundusrt_export.model_card import BundleInfo, KnownFailure, failure_pictures

pytestmark = pytest.mark.usefixtures("one_export_a_network")


def picture(path: Path, side: int = 20) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    assert cv2.imwrite(str(path), noise)
    return path


def info(*pictures: Path) -> BundleInfo:
    return BundleInfo("tiny", failures=tuple(KnownFailure(path, f"a miss, {path.stem}") for path in pictures))


def test_no_failures_no_pictures() -> None:
    assert failure_pictures(info()) == {}


def test_a_name_says_what_the_file_holds(tmp_path: Path) -> None:
    disguised = picture(tmp_path / "a.jpg").rename(tmp_path / "a.png")
    found = failure_pictures(info(disguised, picture(tmp_path / "b.png")))
    assert list(found) == ["card/failure-1.jpg", "card/failure-2.png"]
    assert found["card/failure-1.jpg"] == disguised.read_bytes()


@pytest.mark.parametrize(
    ("name", "side", "text"),
    [
        ("text.png", 0, "text.png: got another format; expected a PNG or JPEG picture of at most 512 KiB"),
        ("large.png", 900, "KiB; expected a PNG or JPEG picture of at most 512 KiB; save a smaller copy of it"),
        ("none.png", None, "none.png: got No such file or directory; expected a picture; name a PNG or JPEG file"),
    ],
)
def test_refused(name: str, side: int | None, text: str, tmp_path: Path) -> None:
    if side == 0:
        (tmp_path / name).write_text("a picture")
    elif side is not None:
        picture(tmp_path / name, side)
    with pytest.raises(InvalidInput, match=re.escape(text)):
        failure_pictures(info(tmp_path / name))


def test_the_bundle_carries_them(material: dict[str, Path], tmp_path: Path) -> None:
    failure = picture(tmp_path / "lid.png")
    arguments = [material["checkpoint"], "-o", tmp_path / "tiny", "--golden", material["golden"], "--threads", 1]
    command = [*arguments, "--failure", failure, "A lid that was marked."]
    done = CliRunner().invoke(export, [str(each) for each in command], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    card = (tmp_path / "tiny" / "MODEL_CARD.md").read_text()
    assert "## Known failures\n\n![A lid that was marked.](card/failure-1.png)\n\nA lid that was marked.\n" in card
    shown = tmp_path / "tiny" / "card" / "failure-1.png"
    assert shown.read_bytes() == failure.read_bytes()
    assert "card/failure-1.png" in Bundle.open(tmp_path / "tiny").manifest.files
    shown.write_bytes(shown.read_bytes()[:-1])
    with pytest.raises(BundleError, match=re.escape("card/failure-1.png")):
        Bundle.open(tmp_path / "tiny")
