"""Programs of their own that run beside what is not timed: the tests, and compute-sanitizer over the stages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu_check.report import Skipped

__all__ = ["Background", "GpuTests", "Sanitizer"]


class Background(NamedTuple):
    """A program under way, its output in a file."""

    process: subprocess.Popen[bytes]
    output: Path
    began: float
    limit_s: float

    def finish(self) -> tuple[int | None, str]:
        """Wait, at most until the limit; returns the exit status, None if it was stopped, and the output."""
        try:
            self.process.wait(max(1.0, self.limit_s - (time.monotonic() - self.began)))
            code: int | None = self.process.returncode
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        return code, self.output.read_text(encoding="utf-8", errors="replace")


def _start(command: list[str], limit_s: float) -> Background:
    descriptor, name = tempfile.mkstemp(prefix="gpu-check-", suffix=".log")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "2"}
    with open(descriptor, "wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)
    return Background(process, Path(name), time.monotonic(), limit_s)


class GpuTests:
    """`pytest tests/gpu`. Third parties are of versions nobody chose, so their warnings are no errors here."""

    def __init__(self, limit_s: float) -> None:
        options = ["-q", "-rfEs", "-W", "default", "-p", "no:cacheprovider", "--tb=short"]
        self.run = _start([sys.executable, "-m", "pytest", "tests/gpu", *options], limit_s)

    def figures(self) -> dict[str, Any]:
        """Return the counts, and what failed."""
        code, output = self.run.finish()
        counts = {
            kind: int(number) for number, kind in re.findall(r"(\d+) (passed|failed|errors?|skipped)", output[-400:])
        }
        if code != 0 or not counts.get("passed"):
            lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR", "E  "))]
            reason = "stopped at its limit" if code is None else f"exit {code}"
            return {"failed": [reason, *lines[:40]], "counts": counts, "output": output[-6000:]}
        skips = [line for line in output.splitlines() if line.startswith("SKIPPED")]
        return {"counts": counts, **({"skipped": skips} if skips else {})}


class Sanitizer:
    """compute-sanitizer over `sanitized.py`.

    Args:
        tool: `memcheck` or `racecheck`.
        limit_s: seconds it may take.
    """

    def __init__(self, tool: str, limit_s: float) -> None:
        program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
        self.tool = tool
        self.run: Background | None = None
        if not Path(program).exists():
            return
        command = [
            program,
            "--tool",
            tool,
            "--error-exitcode",
            "9",
            sys.executable,
            "-m",
            "benchmarks.gpu_check.sanitized",
        ]
        self.run = _start([*command, tool], limit_s)

    def figures(self) -> dict[str, Any]:
        """Return what the tool said."""
        if self.run is None:
            raise Skipped("compute-sanitizer is not installed")
        code, output = self.run.finish()
        summary = [line.strip("= ") for line in output.splitlines() if "SUMMARY" in line]
        ran = re.findall(r"^stages: (.+)$", output, re.MULTILINE)
        if "Device not supported" in output:
            raise Skipped("compute-sanitizer refuses this device")
        found = {"stages": ran[0] if ran else "none", "summary": summary}
        if code != 0 or not ran:
            reason = "stopped at its limit" if code is None else f"exit {code}"
            return {"failed": [reason, *summary], **found, "output": output[:3000] + output[-3000:]}
        return found
