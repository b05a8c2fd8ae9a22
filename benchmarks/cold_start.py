"""How long is it from the start of a process to the first tile of a shipped model?

Fresh processes, one after the other, each with the files in the system's cache. Beside the wall time the processor time
of the process up to the same moment: on a busy machine it says what the wall time would be without the others, with one
thread. `-X importtime` of one more process says what the imports cost, by package.

    python -m benchmarks.cold_start [MODEL ...] [--processes 10] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import save
from fundusrt.bench.images import default_images
from fundusrt.bundle import Bundle
from fundusrt.commands.demo import sample_path

GOAL_MS = 1000.0

_COLD = """
import json, sys, time
from pathlib import Path
from fundusrt.bench.cold_start import start_cold
pipeline, reached = start_cold(int(sys.argv[4]), sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
print(json.dumps({"wall": reached.wall, "cpu": reached.cpu}))
"""


def cold(model: str, options: dict[str, Any], image: Path) -> dict[str, dict[str, float]]:
    """Return milliseconds of one fresh process by clock and moment."""
    arguments = [model, json.dumps(options), str(image)]
    command = [sys.executable, "-c", _COLD, *arguments]
    done = subprocess.run(
        [*command, str(time.monotonic_ns())], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    return json.loads(done.stdout)


def import_ms(model: str, options: dict[str, Any], image: Path) -> dict[str, float]:
    """Return the milliseconds of imports by package, from `-X importtime`, the slowest first."""
    arguments = [model, json.dumps(options), str(image), str(time.monotonic_ns())]
    command = [sys.executable, "-X", "importtime", "-c", _COLD, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = {}
    for line in done.stderr.splitlines():
        head, _, rest = line.partition("|")
        own = head.removeprefix("import time:").strip()
        if own.isdigit():
            package = rest.rpartition("|")[2].strip().split(".")[0]
            package = "standard library" if package in sys.stdlib_module_names else package
            found[package] = found.get(package, 0.0) + int(own) / 1000.0
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def main() -> None:
    """Measure, print, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["leakage", "exudate", "enhance"])
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    figures: dict[str, Any] = {"question": "process start to first tile, fresh processes", "goal_ms": GOAL_MS}
    loaded = {"threads": options.threads}
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            image = default_images(Bundle.open(model), sample_path(), Path(folder))[0]
            runs = [cold(model, loaded, image) for _ in range(options.processes)]
            figures[model] = {
                "threads": options.threads,
                "processes": runs,
                "import_ms": import_ms(model, loaded, image),
            }
            for clock in ("wall", "cpu"):
                moments = {name: [run[clock][name] for run in runs] for name in runs[0][clock]}
                line = ", ".join(
                    f"{name} {min(values):.0f} to {max(values):.0f}, median {statistics.median(values):.0f} ms"
                    for name, values in moments.items()
                )
                print(f"{model} {clock}: {line}")
    print(f"written to {save('cold_start', figures)}")


if __name__ == "__main__":
    main()
