"""The report of the GPU check: nothing that failed, was left out or missed its target goes unsaid."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_check.report import Report, Skipped, at_least, at_most


def fails() -> dict[str, Any]:
    raise AssertionError("2 is not 3")


def leaves() -> dict[str, Any]:
    raise SystemExit("gone")


def skips() -> dict[str, Any]:
    raise Skipped("no such program")


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path / "results", budget_s=60.0)


def written(report: Report) -> dict[str, Any]:
    return json.loads((report.folder / "gpu_check.json").read_text())


def test_one_failure_hides_no_other_section(report: Report) -> None:
    report.section("machine", lambda: {"gpu": "Some GPU"})
    for name, work in {"a": fails, "b": leaves, "c": skips, "d": lambda: {"failed": ["wrong"], "n": 1}}.items():
        report.section(name, work)
    report.section("e", lambda: {"n": 2})
    states = {name: each["state"] for name, each in written(report)["sections"].items()}
    assert states == {"machine": "passed", "a": "failed", "b": "failed", "c": "skipped", "d": "failed", "e": "passed"}
    assert report.failed == written(report)["failed"] == ["a", "b", "d"]
    shown = (report.folder / "gpu_check.md").read_text()
    for text in ("# GPU check: Some GPU", "AssertionError: 2 is not 3", "SystemExit: gone", "no such program", "wrong"):
        assert text in shown
    assert "Networks: none ran." in shown


def test_it_is_there_after_each_section(report: Report) -> None:
    report.section("first", lambda: {"n": 1})
    assert list(written(report)["sections"]) == ["first"]


def test_a_section_after_the_budget_is_left_out_and_says_so(tmp_path: Path) -> None:
    report = Report(tmp_path, budget_s=60.0, began=time.monotonic() - 58.0)
    report.section("late", fails)
    assert written(report)["sections"]["late"]["reason"] == "the budget of 60 s is spent"


def test_a_target_that_is_missed_is_named_and_fails_nothing(report: Report) -> None:
    assert at_least("copy", 0.7, 0.7)["met"]
    assert not at_least("copy", 0.699, 0.7)["met"]
    assert not at_least("copy", float("nan"), 0.7)["met"]
    assert at_most("rest", 0.15, 0.15)["met"]
    assert not at_most("rest", 0.151, 0.15)["met"]
    report.section("kernels", lambda: {"targets": [at_least("copy", 0.5, 0.7), at_most("rest", 0.1, 0.15)]})
    assert report.failed == []
    assert report.missed == ["copy >= 70% (50.0%)"]
    assert [each["met"] for each in written(report)["targets"]] == [False, True]
    head = (report.folder / "gpu_check.md").read_text().split("## ")[0]
    assert "| copy >= 70% | 50.0% | False |" in head
    assert "| rest <= 15% | 10.0% | True |" in head


def test_no_target_is_claimed_that_was_not_measured(report: Report) -> None:
    report.section("kernels", skips)
    assert "No target was measured." in (report.folder / "gpu_check.md").read_text()


def test_a_section_that_hangs_does_not_outlive_the_budget(tmp_path: Path) -> None:
    report = Report(tmp_path, budget_s=60.0, began=time.monotonic() - 79.9)
    report._budget_s = 90.0  # the section begins in time
    codes: list[int] = []
    over = threading.Event()
    report.section("before", lambda: {"n": 1})

    def hangs() -> dict[str, Any]:
        report._budget_s = 60.0
        report.end_in_time(lambda code: over.set() if not codes.append(code) else None)
        assert over.wait(30.0)
        return written(report)["sections"]["hangs"]

    report.section("hangs", hangs)
    assert codes == [1]
    assert report.sections["hangs"]["failed"] == ["stopped: still running 20 s after the budget of 60 s"]
    assert report.sections["before"]["state"] == "passed"
