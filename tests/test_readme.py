"""Every command and every line of Python in the README runs, and the Python prints what the README says it prints."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fundusrt.commands.demo import sample_path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Return every line a reader is told to type."""
    return [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as the README's reader has it: one image, `eye.jpg`."""
    path = tmp_path_factory.mktemp("readme")
    shutil.copy(sample_path(), path / "eye.jpg")
    return path


def test_python_session_prints_what_the_readme_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    sessions = [block for block in blocks("python") if ">>>" in block]
    assert sessions
    for session in sessions:
        test = doctest.DocTestParser().get_doctest(session, {}, "README", "README.md", 0)
        assert test.examples
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
        report: list[str] = []
        runner.run(test, out=report.append)
        assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.slow
def test_commands_run_in_order(folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    typed = [command for command in commands() if command.startswith("fundusrt ")]
    named = {command.split()[1] for command in typed}
    assert named >= {"run", "inspect", "verify", "doctor", "generate", "train", "evaluate", "export"}
    for command in typed:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"


def test_make_commands_are_what_ci_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    typed = [command for command in commands() if command.startswith("make ")]
    assert {"make demo", "make test"} <= set(typed)
    for command in typed:
        assert f"\n{command}\n" in script
        assert f"\n{command.split()[1]}:" in makefile


def test_no_other_kind_of_command_goes_untested() -> None:
    assert all(command.split()[0] in ("fundusrt", "make") for command in commands())


def test_pictures_and_links_exist() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert missing == []
