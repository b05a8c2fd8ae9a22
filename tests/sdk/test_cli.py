"""Every command: what it prints, what it writes, and its exit code."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import fundusrt
from fundusrt import atomic, cli, pipeline
from fundusrt.testing import tiny_image
from tests.sdk.bundle_attacks import reseal


def invoke(*arguments: object) -> Result:
    """Run the command line; an exception that is no FundusRTError would come out here."""
    runner = CliRunner(env={"COLUMNS": "250"}, catch_exceptions=False)
    return runner.invoke(cli.main, [str(argument) for argument in arguments])


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


GOOD = ("a_good", "f_black", "g_good")


def result_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def expected_names(*stems: str) -> list[str]:
    endings = ("mask.png", "overlay.png", "probability.png", "result.json")
    return sorted(f"{stem}_{ending}" for stem in stems for ending in endings)


# --- the group


def test_help_and_version() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for name in ("demo", "doctor", "inspect", "run", "verify"):
        assert f"\n  {name} " in result.stdout
    assert invoke("--version").stdout == f"fundusrt, version {fundusrt.__version__}\n"


@pytest.mark.parametrize("name", ["demo", "doctor", "inspect", "run", "verify"])
def test_every_command_explains_itself(name: str) -> None:
    result = invoke(name, "-h")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout
    assert isinstance(cli.main.get_command(click.Context(cli.main), name), click.Command)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("no-such-command",), "No such command 'no-such-command'"),
        (("run",), "Missing argument 'INPUTS...'"),
        (("run", "a.png"), "Missing option '-o' / '--out'"),
        (("run", "a.png", "-o", "out", "--threads", "0"), "Invalid value for '--threads'"),
        (("run", "a.png", "-o", "out", "--max-megapixels", "0"), "Invalid value for '--max-megapixels'"),
        (("verify", "--nonsense"), "No such option"),
    ],
)
def test_usage_errors_exit_2(arguments: tuple[str, ...], text: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "module", "extra"),
    [
        (("train", "cmwnet", "--data", ".", "-o", "out"), "torch", "train"),
        (("evaluate", "cli.py", "--data", ".", "-o", "out"), "torch", "train"),
        (("export", "cli.py", "-o", "out.frt"), "torch", "export"),
    ],
)
def test_an_installed_command_without_its_packages_says_how_to_get_them(
    arguments: tuple[str, ...], module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel holds every command; what they need comes with the extras."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cli.py").write_text("")
    for name in [name for name in sys.modules if name.startswith(("fundusrt_training", "fundusrt_export"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    result = invoke(*arguments)
    assert result.exit_code == 3
    assert f"error: command '{arguments[0]}': got no module named '{module}" in result.stderr
    assert f"expected the '{extra}' extra; pip install \"fundusrt[{extra}]\"" in result.stderr


def test_a_command_whose_packages_are_missing_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name = "train"

        def load(self) -> None:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli.metadata, "entry_points", lambda **_: [Entry()])
    assert "Not installed" in invoke("--help").stdout
    result = invoke("train", "cmwnet", "--data", "x")
    assert result.exit_code == 3
    assert result.stderr == (
        "error: command 'train': got no module named 'torch'; expected the 'train' extra; "
        'pip install "fundusrt[train]"\n'
    )


# --- run


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
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None


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
        (("--backend", "tensorrt"), "backend: got 'tensorrt'; expected one of onnxruntime"),
        (("--precision", "int8"), "got onnxruntime/int8; expected one of onnxruntime/fp32"),
        (("--device", "cuda"), "device: got 'cuda' with backend 'onnxruntime'; expected 'cpu'; pass device='cpu'"),
    ],
)
def test_run_a_backend_that_is_not_there_exits_3(
    tiny: Path, eyes: Path, tmp_path: Path, options: tuple[str, str], text: str
) -> None:
    result = invoke("run", eyes, "-m", tiny, "-o", tmp_path / "out", *options)
    assert result.exit_code == 3
    assert text in result.stderr


# --- bundles, for every command that takes one


@pytest.mark.parametrize("command", [("run", "EYES", "-o", "OUT", "-m"), ("inspect",), ("verify",)])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_refused_bundle_exits_3_and_writes_nothing(
    tiny_copy: Path, eyes: Path, tmp_path: Path, command: tuple[str, ...], as_json: bool
) -> None:
    (tiny_copy / "small.onnx").write_bytes((tiny_copy / "large.onnx").read_bytes())
    places = {"EYES": eyes, "OUT": tmp_path / "out"}
    arguments = [places.get(word, word) for word in command]
    result = invoke(*arguments, tiny_copy, *(["--json"] if as_json else []))
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: {tiny_copy}, small.onnx: got sha256 ")
    assert "the file was changed or damaged; copy or export the bundle again" in result.stderr
    if as_json:
        assert json.loads(result.stdout)["error"]["code"] == "bundle-error"
    else:
        assert result.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_missing_bundle_exits_3(command: str) -> None:
    result = invoke(command, "absent.frt")
    assert result.exit_code == 3
    assert result.stderr.startswith("error: bundle 'absent.frt': got no such file or folder; expected a bundle folder")


# --- inspect


def test_inspect(tiny: Path) -> None:
    result = invoke("inspect", tiny)
    assert result.exit_code == 0
    assert f"sha256        {fundusrt.Bundle.open(tiny).sha256}\n" in result.stdout
    for text in (
        "tiny 1.0.0  (cmwnet, segmentation: bright spots)",
        "preprocess    CLAHE clip 2, grid 8 on lab lightness; gamma 1.2; 3 channels",
        "tiles         64 px, sides rounded nearest; whole image 64 px (area)",
        "postprocess   cgnr_then_fuse, CGNR parallel, w_large 0.3, threshold 0.5",
        "wavelet-rewrite",
        "large.onnx",
    ):
        assert text in result.stdout


def test_inspect_json(tiny: Path) -> None:
    content = json.loads(invoke("inspect", tiny, "--json").stdout)
    assert set(content) == {"sha256", "manifest", "certificate"}
    assert content["manifest"] == json.loads((tiny / "bundle.json").read_text())
    assert content["certificate"] == json.loads((tiny / "certificate.json").read_text())


def test_inspect_prints_markup_in_a_manifest_as_it_is(tiny_copy: Path) -> None:
    reseal(tiny_copy, description="[/bold] and [red]red[/red]", intended_use="[x]", version="[link=a]", label="[b]")
    result = invoke("inspect", tiny_copy)
    assert result.exit_code == 0
    for text in ("[/bold] and [red]red[/red]", "intended use  [x]", "tiny [link=a]  (cmwnet, segmentation: [b])"):
        assert text in result.stdout


# --- verify


def test_verify(tiny: Path) -> None:
    result = invoke("verify", tiny)
    assert result.exit_code == 0
    assert "hashes and certificate ok" in result.stdout
    for rung in ("preprocessing", "network-large", "network-small", "mask"):
        assert rung in result.stdout
    assert "FAILED" not in result.stdout


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_verify_a_bundle_that_does_not_hold_here_exits_3(tiny_copy: Path, value: float) -> None:
    path = tiny_copy / "golden/small.npz"
    array = np.load(path)["arr_0"]
    array[5, 5] = value
    np.savez(path, array)
    reseal(tiny_copy)
    result = invoke("verify", tiny_copy)
    assert result.exit_code == 3
    assert result.stdout.count("FAILED") == 1
    result = invoke("verify", tiny_copy, "--json")
    assert result.exit_code == 3
    content = json.loads(result.stdout, parse_constant=refuse_constant)
    assert content["holds"] is False
    assert [rung["name"] for rung in content["rungs"] if not rung["holds"]] == ["network-small"]


def refuse_constant(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def test_verify_json(tiny: Path) -> None:
    content = json.loads(invoke("verify", tiny, "--json").stdout, parse_constant=refuse_constant)
    assert content["bundle"] == str(tiny)
    assert content["holds"] is True
    assert len(content["rungs"]) == 4


def test_verify_an_unknown_backend_exits_3(tiny: Path) -> None:
    result = invoke("verify", tiny, "--backend", "openvino")
    assert result.exit_code == 3
    assert "backend: got 'openvino'; expected one of onnxruntime" in result.stderr


# --- doctor


def test_doctor_on_a_machine_that_has_all(shipped: Path) -> None:
    result = invoke("doctor")
    assert result.exit_code == 0
    assert "golden vectors reproduced" in result.stdout
    assert "ready to run" in result.stdout
    content = json.loads(invoke("doctor", "--json").stdout)
    assert content["ok"] is True
    assert content["fundusrt"] == fundusrt.__version__
    assert {"what", "ok", "detail", "fix", "needed"} == set(content["findings"][0])


def test_doctor_names_what_is_broken_and_the_fix(shipped: Path) -> None:
    (shipped / "small.onnx").unlink()
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "small.onnx: got no such file" in result.stdout
    assert "copy or export it again" in result.stdout
    assert "1 needed thing(s) missing: see the fixes above" in result.stdout
    content = json.loads(invoke("doctor", "--json").stdout)
    assert content["ok"] is False


def test_doctor_when_the_answers_differ_here(shipped: Path) -> None:
    path = shipped / "golden/large.npz"
    np.savez(path, np.load(path)["arr_0"] / 2)
    reseal(shipped)
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "golden vectors differ: network-large" in result.stdout
    assert "run `fundusrt verify leakage`" in result.stdout


def test_doctor_without_a_needed_package_still_reports(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))  # what an uninstalled wheel may leave
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "the package is hollow" in result.stdout
    monkeypatch.setitem(sys.modules, "cv2", None)
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "not run: " in result.stdout


# --- demo


def test_demo(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = tmp_path / "angiogram.png"
    sample.write_bytes(cv2.imencode(".png", tiny_image())[1].tobytes())
    monkeypatch.setattr("fundusrt.commands.demo.sample_path", lambda: sample)
    result = invoke("demo", "-o", tmp_path / "[out]")
    assert result.exit_code == 0
    assert "sample      angiogram.png, 144 x 208 px (generated, no patient)" in result.stdout
    assert "ran on      onnxruntime:CPUExecutionProvider, fp32, 6 tiles + 1 whole image" in result.stdout
    assert "found       4 lesions, " in result.stdout
    assert f"mask        {tmp_path / '[out]' / 'angiogram_mask.png'}" in result.stdout
    assert result_names(tmp_path / "[out]") == expected_names("angiogram")


def test_demo_into_a_file_exits_1(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = tmp_path / "angiogram.png"
    sample.write_bytes(cv2.imencode(".png", tiny_image())[1].tobytes())
    monkeypatch.setattr("fundusrt.commands.demo.sample_path", lambda: sample)
    result = invoke("demo", "-o", sample)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {sample}: got File exists; expected a writable folder")
