"""The group of commands: help, usage errors, missing packages, and a refused bundle."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import click
import pytest

import fundusrt
from fundusrt import cli
from tests.sdk.command_line import invoke


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
