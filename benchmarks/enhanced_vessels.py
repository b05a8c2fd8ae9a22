"""Are vessels of degraded photographs found better once they are enhanced?

Photographs with known vessels are degraded several times each, enhanced in every way, and segmented by one vessel
network that has seen none of them; AUC, accuracy and IoU inside the field of view, means over images with the 95 %
bootstrap interval of the AUC. The paper's table has DRIVE's official test set, whose vessels are not public in every
copy of the data: name a set the vessel network was not trained on.

    python -m benchmarks.enhanced_vessels VESSEL_CHECKPOINT DATA [--bundle enhance ...] [--count 3]
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import fundusrt
from benchmarks.record import save
from fundusrt_training.baselines.clahe import enhance_by_clahe
from fundusrt_training.baselines.dark_channel import enhance_by_dark_channel
from fundusrt_training.bootstrap import bootstrap_interval
from fundusrt_training.checkpoints import load_checkpoint
from fundusrt_training.data.degradation import degrade_8_bit, draw_degradation
from fundusrt_training.data.framed_eye import frame_eye, to_planes
from fundusrt_training.data.vessels import read_vessels
from fundusrt_training.data.working_image import default_cache, file_sha256
from fundusrt_training.systems.vessel import VesselModule, vessel_probability
from fundusrt_training.systems.vessel_config import VesselConfig
from fundusrt_training.vessel_metrics import VesselScores, vessel_scores

Bytes = npt.NDArray[np.uint8]
Fov = npt.NDArray[np.bool_]
METRICS = ("auc", "accuracy", "iou")
HALF = 128  # of 255: a pixel at least half covered is a vessel


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vessels", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", action="append", help="name or file, several times; default: enhance")
    parser.add_argument("--count", type=int, default=3, help="degradations of each photograph")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    state, settings = load_checkpoint(options.vessels)
    config = VesselConfig.from_dict(settings)
    module = VesselModule(config)
    module.load_weights(state)
    side = config.data.side
    pipelines = {
        Path(name).stem: fundusrt.load(name, threads=options.threads) for name in options.bundle or ["enhance"]
    }

    def by_bundle(name: str, pixels: Bytes, fov: Fov) -> Bytes:
        return pipelines[name](dataclasses.replace(fundusrt.from_array(pixels), fov=fov)).image

    ways: dict[str, Callable[[Bytes, Fov], Bytes]] = {
        "degraded": lambda pixels, fov: pixels,
        "CLAHE (Setiawan)": lambda pixels, fov: enhance_by_clahe(pixels),
        "dark channel prior": lambda pixels, fov: enhance_by_dark_channel(pixels),
        **{name: partial(by_bundle, name) for name in pipelines},
    }
    scores: dict[str, list[VesselScores]] = {way: [] for way in ("clean", *ways)}
    for index, case in enumerate(read_vessels(options.data)):
        clean, fov, vessels = frame_eye(case, side, options.cache or default_cache()).read()
        if vessels is None:
            parser.error(f"{case.name} has no vessels")

        def add(way: str, pixels: Bytes, fov: Fov = fov, truth: Fov = vessels >= HALF) -> None:
            seen = to_planes(pixels * fov[..., None])[None]
            scores[way].append(vessel_scores(vessel_probability(module.network, seen)[0].numpy(), truth, fov))

        add("clean", clean)
        for variant in range(options.count):
            drawn = draw_degradation(np.random.default_rng((0, index, variant)), side, side)
            bad = degrade_8_bit(np.ascontiguousarray(clean), fov, drawn)
            for way, enhance in ways.items():
                add(way, enhance(bad, fov))

    rows: dict[str, dict[str, object]] = {}
    print(f"{'':<22}" + "".join(f"{metric:<10}" for metric in METRICS) + "AUC, 95 % interval")
    for way, found in scores.items():
        means = {metric: float(np.mean([getattr(each, metric) for each in found])) for metric in METRICS}
        low, high = _interval([each.auc for each in found], len(scores["clean"]))
        rows[way] = {**means, "auc_interval": [low, high], "images": len(found)}
        print(f"{way:<22}" + "".join(f"{means[metric]:<10.4f}" for metric in METRICS) + f"{low:.4f} to {high:.4f}")
    figures = {
        "question": __doc__.splitlines()[0],
        "vessel_checkpoint_sha256": file_sha256(options.vessels),
        "bundles": {name: f"{each.manifest.name} {each.manifest.version}" for name, each in pipelines.items()},
        "side_px": side,
        "rows": rows,
    }
    print(f"written to {save('enhanced_vessels', figures)}")


def _interval(values: list[float], photographs: int) -> tuple[float, float]:
    """Return the interval of the mean over photographs: what was made of one photograph moves together."""
    return bootstrap_interval([float(each.mean()) for each in np.split(np.asarray(values), photographs)])


if __name__ == "__main__":
    main()
