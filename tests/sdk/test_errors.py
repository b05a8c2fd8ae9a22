"""Errors say what, got, expected and the next step, and survive pickling."""

from __future__ import annotations

import ast
import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

import fundusrt
from fundusrt import errors
from fundusrt.cli import exit_code
from fundusrt.errors import FundusRTError

KINDS: list[Any] = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "eye.png"),
        ({"got": 3}, "eye.png: got 3"),
        ({"expected": "4 px"}, "eye.png: expected 4 px"),
        ({"fix": "crop it"}, "eye.png: crop it"),
        ({"got": 0, "expected": 1}, "eye.png: got 0; expected 1"),
        ({"got": "a", "expected": "b", "fix": "c"}, "eye.png: got a; expected b; c"),
    ],
)
def test_text(fields: dict[str, Any], text: str) -> None:
    assert str(FundusRTError("eye.png", **fields)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_fields_survive_pickle_and_copy(kind: Any) -> None:
    error = kind("eye.png", got=3, expected="4 px", fix="crop it")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert str(again) == str(error) == "eye.png: got 3; expected 4 px; crop it"
        assert (again.subject, again.got, again.expected, again.fix) == ("eye.png", "3", "4 px", "crop it")


def test_codes_are_stable_and_unique() -> None:
    assert {kind.__name__: kind.code for kind in KINDS} == {
        "FundusRTError": "fundusrt-error",
        "InvalidInput": "invalid-input",
        "OutputError": "output-error",
        "UsageError": "usage-error",
        "BundleError": "bundle-error",
        "CertificateError": "certificate-error",
        "BackendUnavailable": "backend-unavailable",
        "EngineMismatch": "engine-mismatch",
    }


def test_families() -> None:
    assert all(issubclass(kind, FundusRTError) for kind in KINDS)
    assert issubclass(fundusrt.InvalidInput, ValueError)
    assert issubclass(fundusrt.OutputError, OSError)
    assert issubclass(fundusrt.CertificateError, fundusrt.BundleError)
    assert issubclass(fundusrt.EngineMismatch, fundusrt.BackendUnavailable)


def test_exit_codes() -> None:
    codes = {kind.__name__: exit_code(kind("x")) for kind in KINDS}
    assert codes == {
        "FundusRTError": 1,
        "InvalidInput": 1,
        "OutputError": 1,
        "UsageError": 2,
        "BundleError": 3,
        "CertificateError": 3,
        "BackendUnavailable": 3,
        "EngineMismatch": 3,
    }


def _raised_in_the_source(*packages: str) -> list[tuple[str, str, set[str | None]]]:
    """Every call that makes an error: where, which, and the keyword arguments it gives."""
    repository = Path(__file__).resolve().parents[2]
    kinds = {kind.__name__ for kind in KINDS}
    return [
        (f"{path.relative_to(repository)}:{node.lineno}", node.func.id, {word.arg for word in node.keywords})
        for package in packages
        for path in sorted((repository / package).glob("fundusrt*/**/*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds
    ]


def test_every_error_of_the_sdk_says_the_next_step() -> None:
    made = _raised_in_the_source("sdk")
    assert len(made) > 80
    assert [(place, kind) for place, kind, words in made if not {"got", "expected", "fix"} <= words] == []


def test_every_refused_file_or_array_says_the_next_step() -> None:
    """In training and export; of an option, what was expected says what to give instead."""
    made = [entry for entry in _raised_in_the_source("training", "export") if entry[1] != "UsageError"]
    assert len(made) > 40
    assert [(place, kind) for place, kind, words in made if not {"got", "expected", "fix"} <= words] == []
