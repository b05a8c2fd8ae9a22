"""What tests of the SDK share: a shipped bundle, good and bad image files, and how they are read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fundusrt.image import read_image
from fundusrt.testing import tiny_image


@pytest.fixture
def shipped(tiny_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny bundle under the name of the shipped one."""
    monkeypatch.setattr("fundusrt.bundle.shipped_bundles", lambda: {"leakage": tiny_copy})
    return tiny_copy


@pytest.fixture
def eyes(tmp_path: Path) -> Path:
    """A folder of good and bad images."""
    folder = tmp_path / "eyes"
    folder.mkdir()
    good = cv2.imencode(".png", tiny_image())[1].tobytes()
    (folder / "a_good.png").write_bytes(good)
    (folder / "b_empty.png").touch()
    (folder / "c_cut.png").write_bytes(good[: len(good) // 2])
    (folder / "d_text.jpg").write_text("not an image")
    (folder / "e_small.png").write_bytes(cv2.imencode(".png", np.full((1, 1), 9, np.uint8))[1].tobytes())
    (folder / "f_black.png").write_bytes(cv2.imencode(".png", np.zeros((64, 80), np.uint8))[1].tobytes())
    (folder / "g_good.bmp").write_bytes(cv2.imencode(".bmp", tiny_image(100, 120))[1].tobytes())
    return folder


@pytest.fixture
def read(tmp_path):
    def read_bytes(data, name="eye.bin", **options):
        (tmp_path / name).write_bytes(data)
        return read_image(tmp_path / name, **options)

    return read_bytes


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that the system does not know, without `HOME`: as in a container started with a number for a user."""
    pwd = pytest.importorskip("pwd", reason="users are POSIX's")

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "FUNDUSRT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
