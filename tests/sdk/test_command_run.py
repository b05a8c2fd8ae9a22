"""`fundusrt run`: what it prints, what it writes, and its exit code."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fundusrt import atomic, pipeline
from fundusrt.testing import tiny_image
from tests.sdk.command_line import expected_names, invoke, result_names

GOOD = ("a_good", "f_black", "g_good")


def test_run_over_good_and_bad_reports_goes_on_and_exits_1(tiny: Path, eyes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("run", eyes, "-m", tiny, "-o", out)
    assert result.exit_code == 1
    assert result_names(out) == expected_names(*GOOD)
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("a_good.png: 4 lesions, ")
    assert lines[1] == "f_black.png: ungradable: no field of view found: the image is black"
    assert lines[2].startswith("g_good.bmp: ")
    assert lines[3] == f"3 done, 4 failed; results in {out}"
    failures = result.stderr.splitlines()
    assert len(failures) == 4
    for name, reason, failure in zip(
        ("b_empty.png", "c_cut.png", "d_text.jpg", "e_small.png"),
        ("an empty file (0 bytes)", "truncated or malformed PNG", "other content", "1 x 1 px"),
        failures,
        strict=True,
    ):
        assert failure.startswith(f"failed  {eyes / name}: got ")
        assert reason in failure
        assert "; expected " in failure


def test_run_over_good_images_exits_0(tiny: Path, eyes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("run", eyes / "a_good.png", eyes / "g*.bmp", "-m", tiny, "-o", out, "--threads", 1)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result_names(out) == expected_names("a_good", "g_good")


def test_run_json_is_one_document(tiny: Path, eyes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("run", eyes, tmp_path / "absent", tmp_path / "*.gif", "-m", tiny, "-o", out, "--json")
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert [Path(entry["source"]).stem for entry in content["results"]] == list(GOOD)
    for entry in content["results"]:
        assert set(entry["files"]) == {"mask", "overlay", "probability", "result"}
        saved = json.loads(Path(entry["files"]["result"]).read_text())
        assert {key: entry[key] for key in saved} == saved
    assert [(Path(entry["source"]).name, entry["error"]["code"]) for entry in content["failed"]] == [
        ("*.gif", "invalid-input"),
        ("b_empty.png", "invalid-input"),
        ("c_cut.png", "invalid-input"),
        ("d_text.jpg", "invalid-input"),
        ("e_small.png", "invalid-input"),
        ("absent", "invalid-input"),
    ]
    assert "no such file" in content["failed"][-1]["error"]["got"]


def test_run_without_any_usable_input_makes_no_folder(tiny: Path, tmp_path: Path) -> None:
    result = invoke("run", tmp_path / "*.png", "-m", tiny, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "a pattern that matches no file" in result.stderr
    assert result.stdout == f"0 done, 1 failed; results in {tmp_path / 'out'}\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["a_good.png", "*.gif"])
def test_run_with_a_refused_bundle_leaves_nothing_behind(eyes: Path, tmp_path: Path, source: str) -> None:
    result = invoke("run", eyes / source, "-m", tmp_path / "no bundle", "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code"), [(("-m", "absent"), "bundle-error"), (("--backend", "tensorrt"), "backend-unavailable")]
)
def test_run_json_of_a_refusal_is_one_document_too(
    tiny: Path, eyes: Path, tmp_path: Path, arguments: tuple[str, str], code: str
) -> None:
    model = () if "-m" in arguments else ("-m", tiny)
    result = invoke("run", eyes, *model, *arguments, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 3
    error = json.loads(result.stdout)["error"]
    assert error["code"] == code
    assert result.stderr == f"error: {error['message']}\n"
    assert error["message"].endswith(error["fix"])


@pytest.mark.parametrize(
    "arguments", [("--nonsense",), ("--threads", "0"), ("--threads",), ("-o",)], ids=lambda a: " ".join(a)
)
def test_run_json_of_a_usage_error_is_one_document_too(tiny: Path, eyes: Path, arguments: tuple[str, ...]) -> None:
    result = invoke("run", eyes, "-m", tiny, "--json", *arguments)
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "usage-error"
    assert error["subject"].endswith(" run")
    assert arguments[0] in error["got"]
    assert error["fix"] == f"see `{error['subject']} --help`"


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1"])
def test_run_max_megapixels_is_a_positive_number(tiny: Path, eyes: Path, tmp_path: Path, value: str) -> None:
    result = invoke("run", eyes, "-m", tiny, "-o", tmp_path / "out", "--max-megapixels", value)
    assert result.exit_code == 2
    assert "max-megapixels" in result.stderr


def test_run_warns_of_16_bit_samples_that_use_few_bits(tiny: Path, tmp_path: Path) -> None:
    twelve = tiny_image().astype(np.uint16) * 16
    (tmp_path / "eye.png").write_bytes(cv2.imencode(".png", twelve)[1].tobytes())
    result = invoke("run", tmp_path / "eye.png", "-m", tiny, "-o", tmp_path / "out")
    assert result.exit_code == 0
    bits = int(twelve.max()).bit_length()
    warning = f"16-bit image whose largest sample uses {bits} bits: read as it is, very dark; scale it if it is"
    assert warning in result.stderr
    saved = json.loads((tmp_path / "out" / "eye_result.json").read_text())
    assert saved["provenance"]["warnings"][0].startswith(warning)


@pytest.mark.parametrize("other", ["a_good.bmp", "A_GOOD.PNG"])
def test_run_with_colliding_result_names_is_refused_before_any_work(
    tiny: Path, eyes: Path, tmp_path: Path, other: str
) -> None:
    (tmp_path / "more").mkdir()
    shutil.copy(eyes / "a_good.png", tmp_path / "more" / other)
    result = invoke("run", eyes / "a_good.png", tmp_path / "more", "-m", tiny, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: {eyes / 'a_good.png'} and {tmp_path / 'more' / other}: got the same result name; "
        "expected a different file name for each input of one run; run them into separate output folders\n"
    )
    assert not (tmp_path / "out").exists()


def test_run_never_replaces_an_input(tiny: Path, tmp_path: Path) -> None:
    eye = cv2.imencode(".png", tiny_image())[1].tobytes()
    for name in ("eye.png", "eye_mask.png"):
        (tmp_path / name).write_bytes(eye)
    result = invoke("run", tmp_path / "eye.png", tmp_path / "eye_mask.png", "-m", tiny, "-o", tmp_path)
    assert result.exit_code == 2
    assert f"error: {tmp_path / 'eye_mask.png'}: got an input that the result of eye.png would replace" in result.stderr
    assert (tmp_path / "eye_mask.png").read_bytes() == eye


def test_run_the_output_folder_is_a_file(tiny: Path, eyes: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("kept")
    result = invoke("run", eyes, "-m", tiny, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path / 'out'}: got a file; expected a folder; choose another output folder\n"
    assert (tmp_path / "out").read_text() == "kept"


def test_run_when_the_disk_fills_up_half_way(
    tiny: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file of the second image cannot be written, then there is room again."""
    real, calls = atomic._sync, []

    def full(path: Path) -> None:
        calls.append(path)
        if len(calls) == 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path)

    monkeypatch.setattr(atomic, "_sync", full)
    for bad in ("b_empty.png", "c_cut.png", "d_text.jpg", "e_small.png"):
        (eyes / bad).unlink()
    out = tmp_path / "out"
    result = invoke("run", eyes, "-m", tiny, "-o", out)
    assert result.exit_code == 1
    assert result.stderr == (
        f"failed  {out / 'f_black_overlay.png'}: got No space left on device; expected a file that can be written; "
        "free some space or choose another disk\n"
    )
    assert result_names(out) == sorted([*expected_names("a_good", "g_good"), "f_black_mask.png"])
    for path in out.glob("*.png"):
        assert np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)).ndim >= 2


def test_run_an_image_that_does_not_fit_into_memory(
    tiny: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pipeline.fuse_into

    def too_large(p: np.ndarray, *rest: Any) -> None:
        if p.shape == tiny_image().shape:
            raise MemoryError
        real(p, *rest)

    monkeypatch.setattr(pipeline, "fuse_into", too_large)
    result = invoke("run", eyes / "a_good.png", eyes / "g_good.bmp", "-m", tiny, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr == (
        f"failed  {eyes / 'a_good.png'}: got an image that needs more memory than this machine has free; expected room "
        "for the image and some maps of its size; free memory, or refuse such images early with a lower "
        "--max-megapixels\n"
    )
    assert result_names(tmp_path / "out") == expected_names("g_good")


def test_run_names_with_brackets_are_printed_as_they_are(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "eye[").mkdir()
    for name in ("eye[left].png", "eye[/bold].png", "[red]x.png"):
        path = tmp_path / name
        path.write_bytes(b"x")
        result = invoke("run", path, "-m", tiny, "-o", tmp_path / "out")
        assert result.exit_code == 1
        assert result.stderr.startswith(f"failed  {path}: got other content")


def test_run_refuses_large_images_from_their_header(tiny: Path, eyes: Path, tmp_path: Path) -> None:
    arguments = ("run", eyes / "a_good.png", "-m", tiny, "-o", tmp_path / "out", "--max-megapixels")
    result = invoke(*arguments, 0.02)
    assert result.exit_code == 1
    assert "got 144 x 208 px (0.0 megapixels); expected at most 0.02 megapixels" in result.stderr
    assert invoke(*arguments, 0.03).exit_code == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--backend", "tensorrt"), "device: got 'cpu' with backend 'tensorrt'; expected 'cuda'; pass device='cuda'"),
        (("--precision", "int8"), "got onnxruntime/int8; expected one of onnxruntime/fp32"),
        (
            ("--backend", "openvino", "--device", "cuda"),
            "device: got 'cuda' with backend 'openvino'; expected 'cpu'; pass device='cpu'",
        ),
        (("--backend", "tensorflow"), "backend: got 'tensorflow'; expected one of onnxruntime, openvino"),
    ],
)
def test_run_a_backend_that_is_not_there_exits_3(
    tiny: Path, eyes: Path, tmp_path: Path, options: tuple[str, ...], text: str
) -> None:
    result = invoke("run", eyes, "-m", tiny, "-o", tmp_path / "out", *options)
    assert result.exit_code == 3
    assert text in result.stderr
