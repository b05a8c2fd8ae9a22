"""How much does everything around the networks cost?

One 12-megapixel angiogram end to end (file to lesion table) against the sum of its bare network calls on the same
sessions, interleaved in one process, so that a busy machine disturbs both alike.

    python -m benchmarks.pipeline_overhead [IMAGE] [--rounds 7]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

import fundusrt
from benchmarks.record import save
from fundusrt.commands.demo import sample_path
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole, to_tensor
from fundusrt.tiling import TileGrid


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", nargs="?", type=Path, default=sample_path())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()

    pipeline = fundusrt.load("leakage", threads=options.threads)
    manifest = pipeline.manifest
    enhanced = enhance(pipeline.open_image(options.image), manifest.preprocess)
    on_grid = fit_to_grid(enhanced, manifest.tile)
    grid = TileGrid.cover(*on_grid.shape[:2], tile=manifest.tile.size)
    tensors = [to_tensor(on_grid[tile.window], manifest.preprocess)[None] for tile in grid]
    whole = to_tensor(shrink_whole(enhanced, manifest.whole_image), manifest.preprocess)[None]

    def bare() -> float:
        start = time.perf_counter()
        pipeline.large.run({"image": whole})
        for tensor in tensors:
            pipeline.small.run({"image": tensor})
        return 1000.0 * (time.perf_counter() - start)

    def end_to_end() -> tuple[float, dict[str, float]]:
        start = time.perf_counter()
        stages = pipeline(options.image).timings_ms
        return 1000.0 * (time.perf_counter() - start), stages

    bare()
    end_to_end()
    nets: list[float] = []
    totals: list[float] = []
    stages: list[dict[str, float]] = []
    for turn in range(options.rounds):
        for first in (turn % 2, 1 - turn % 2):
            if first:
                nets.append(bare())
            else:
                total, parts = end_to_end()
                totals.append(total)
                stages.append(parts)
    ratios = [total / net for total, net in zip(totals, nets, strict=True)]
    medians = {stage: statistics.median(part[stage] for part in stages) for stage in stages[0]}
    around = sum(ms for stage, ms in medians.items() if not stage.startswith("network"))
    figures = {
        "question": "end to end over the sum of the bare network calls, ONNX Runtime, same sessions, interleaved",
        "image_px": list(np.asarray(enhanced.shape[:2]).tolist()),
        "network_calls": len(tensors) + 1,
        "rounds": options.rounds,
        "end_to_end_ms": totals,
        "network_calls_ms": nets,
        "ratio_median": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "stage_median_ms": medians,
        "around_the_networks_ms": around,
    }
    path = save("pipeline_overhead", figures)
    print(f"{len(tensors) + 1} network calls  {statistics.median(nets):8.1f} ms (median of {options.rounds})")
    print(f"end to end        {statistics.median(totals):8.1f} ms")
    print(f"ratio             {statistics.median(ratios):8.3f}    ({min(ratios):.3f} to {max(ratios):.3f})")
    for stage, ms in medians.items():
        print(f"  {stage:<15} {ms:8.1f} ms")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
