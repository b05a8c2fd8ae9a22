"""Which fusion weight, threshold and mode of CGNR are best on validation images?

Both branches run once an image; every combination is then scored on the same two maps: mean Dice, HD95
and ASD in px. Choose on validation images, report on test images.

    python -m benchmarks.fusion_weights CHECKPOINT DATA [--threads 2]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.record import save
from fundusrt_training.checkpoints import load_checkpoint
from fundusrt_training.data.folder import read_folder
from fundusrt_training.data.working_image import default_cache, prepare
from fundusrt_training.inference import branch_maps, combine, torch_pipeline
from fundusrt_training.metrics import Scores, score
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

WEIGHTS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
THRESHOLDS = (0.4, 0.5, 0.6)
MODES = ("parallel", "converge")
METRICS = ("dice", "hd95", "asd")


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    state, settings = load_checkpoint(options.checkpoint)
    config = CmwnetConfig.from_dict(settings)
    module = CmwnetModule(config)
    module.load_weights(state)
    pipeline = torch_pipeline(config, module.large, module.small)
    chosen = pipeline.manifest.postprocess
    scores: dict[tuple[str, float, float], list[Scores]] = {
        (mode, w, t): [] for mode in MODES for w in WEIGHTS for t in THRESHOLDS
    }
    for case in read_folder(options.data):
        image = prepare(case, config.working_image_spec(), options.cache or default_cache())
        maps = branch_maps(pipeline, "cmwnet", image.whole, image.grid, image.height, image.width)
        reference, fov = image.original_mask, image.original_fov
        for mode, weight, threshold in scores:
            cgnr = chosen.cgnr.model_copy(update={"mode": mode})
            post = chosen.model_copy(update={"w_large": weight, "threshold": threshold, "cgnr": cgnr})
            pipeline.manifest = pipeline.manifest.model_copy(update={"postprocess": post})
            p = combine(pipeline, "cmwnet", maps, fov)
            scores[mode, weight, threshold].append(score(p >= np.float32(threshold), reference))
    means = {
        each: {metric: float(np.mean([getattr(one, metric) for one in values])) for metric in METRICS}
        for each, values in scores.items()
    }
    for mode in MODES:
        print(f"CGNR {mode}; Dice, HD95, ASD\nw_large  " + "".join(f"threshold {t:<14g}" for t in THRESHOLDS))
        for weight in WEIGHTS:
            row = (means[mode, weight, threshold] for threshold in THRESHOLDS)
            print(f"{weight:<9g}" + "".join(f"{m['dice']:<8.4f}{m['hd95']:<8.0f}{m['asd']:<8.0f}" for m in row))
    best = max(means, key=lambda each: means[each]["dice"])
    print(f"best Dice: CGNR {best[0]}, w_large {best[1]:g}, threshold {best[2]:g}: {means[best]['dice']:.4f}")
    figures = {
        "question": __doc__.splitlines()[0],
        "images": len(next(iter(scores.values()))),
        "means": {f"{mode}, w_large {w:g}, threshold {t:g}": value for (mode, w, t), value in means.items()},
    }
    print(f"written to {save('fusion_weights', figures)}")


if __name__ == "__main__":
    main()
