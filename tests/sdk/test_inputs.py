"""Files, folders and patterns, and what must not be mixed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fundusrt.errors import UsageError
from fundusrt.inputs import collect_images, refuse_overwritten_inputs

KINDS = ("mask", "overlay", "probability")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.png", "a.JPG", "c.tiff", "notes.txt", "d.bmp", "inner/e.png", "inner/deep/f.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "looks_like.png").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(inputs: list[str]) -> list[str]:
    files, errors = collect_images(inputs)
    assert not errors
    return [file.as_posix() for file in files]


def test_a_folder_is_the_images_directly_inside_it_by_name(folder: Path) -> None:
    assert [Path(name).name for name in names([str(folder)])] == ["a.JPG", "b.png", "c.tiff", "d.bmp"]
    assert names(["inner"]) == ["inner/e.png"]


def test_a_file_is_taken_whatever_its_ending(folder: Path) -> None:
    assert names(["notes.txt", "b.png"]) == ["notes.txt", "b.png"]


def test_a_missing_file_is_left_to_the_reader(folder: Path) -> None:
    assert names(["absent.png"]) == ["absent.png"]


def test_patterns(folder: Path) -> None:
    assert names(["*.png"]) == ["b.png"]
    assert names(["**/*.tif"]) == ["inner/deep/f.tif"]
    assert names(["[ab].*"]) == ["a.JPG", "b.png"]


def test_a_file_whose_name_looks_like_a_pattern(folder: Path) -> None:
    Path("eye[1].png").touch()
    assert names(["eye[1].png"]) == ["eye[1].png"]


def test_order_is_kept_and_each_file_comes_once(folder: Path) -> None:
    assert names(["c.tiff", "b.png", "./b.png", str(folder / "b.png"), "inner/../c.tiff"]) == ["c.tiff", "b.png"]


def test_what_stands_for_no_file_is_reported_and_the_rest_goes_on(folder: Path) -> None:
    Path("empty").mkdir()
    files, errors = collect_images(["empty", "b.png", "*.gif", "x" * 300, "a\0b"])
    assert next(file.name for file in files) == "b.png"
    texts = [str(error) for error in errors]
    assert texts[0] == (
        "empty: got a folder without images; expected files ending in .png, .jpg, .jpeg, .tif, .tiff, .bmp; "
        "name the files themselves if they end otherwise"
    )
    assert texts[1] == (
        "*.gif: got a pattern that matches no file; expected at least one file; check the pattern and the folder"
    )
    assert texts[2] == f"{'x' * 300}: got File name too long; expected a file, a folder or a pattern; check the path"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs permissions that bind this user")
def test_a_folder_that_may_not_be_read(folder: Path) -> None:
    Path("closed").mkdir(mode=0)
    _, (error,) = collect_images(["closed"])
    assert str(error) == "closed: got Permission denied; expected a file, a folder or a pattern; check the path"


def test_an_unreadable_folder_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    files, (error,) = collect_images(["inner", "b.png"])
    assert [file.name for file in files] == ["b.png"]
    assert str(error) == "inner: got Permission denied; expected a file, a folder or a pattern; check the path"


@pytest.mark.parametrize("other", ["inner/b.jpg", "inner/B.png"])
def test_two_files_with_one_result_name(folder: Path, other: str) -> None:
    Path(other).touch()
    message = (
        "b.png and inner/.*: got the same result name; expected a different file name for each input of one run; run"
    )
    with pytest.raises(UsageError, match=message):
        collect_images(["b.png", other])


def test_results_may_not_replace_inputs(folder: Path) -> None:
    for name in ("eye.png", "eye_mask.png"):
        Path(name).touch()
    files, _ = collect_images(["eye.png", "eye_mask.png"])
    message = "eye_mask.png: got an input that the result of eye.png would replace; .*; choose another output folder"
    with pytest.raises(UsageError, match=message):
        refuse_overwritten_inputs(files, Path(), KINDS)
    with pytest.raises(UsageError, match=message):
        refuse_overwritten_inputs([file.absolute() for file in files], Path("inner/.."), KINDS)
    refuse_overwritten_inputs(files, Path("out"), KINDS)
    refuse_overwritten_inputs(files, Path(), ("enhanced",))
    refuse_overwritten_inputs(files[:1], Path(), KINDS)
