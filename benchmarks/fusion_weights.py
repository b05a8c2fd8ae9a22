"""Which fusion weight, threshold and mode of CGNR give the best mean Dice on validation images?

Both branches run once an image; every combination is then scored on the same two maps. Choose on
validation images, report on test images.

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
from fundusrt_training.metrics import dice
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

WEIGHTS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
THRESHOLDS = (0.4, 0.5, 0.6, 0.7)
MODES = ("parallel", "converge")


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
    scores: dict[tuple[str, float, float], list[float]] = {
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
            scores[mode, weight, threshold].append(dice(p >= np.float32(threshold), reference))
    means = {each: float(np.mean(values)) for each, values in scores.items()}
    for mode in MODES:
        print(f"CGNR {mode}\nw_large  " + "".join(f"t={threshold:<7g}" for threshold in THRESHOLDS))
        for weight in WEIGHTS:
            print(f"{weight:<9g}" + "".join(f"{means[mode, weight, threshold]:<9.4f}" for threshold in THRESHOLDS))
    best = max(means, key=lambda each: means[each])
    print(f"best: CGNR {best[0]}, w_large {best[1]:g}, threshold {best[2]:g}: Dice {means[best]:.4f}")
    figures = {
        "question": __doc__.splitlines()[0],
        "images": len(next(iter(scores.values()))),
        "dice": {f"{mode}, w_large {w:g}, threshold {t:g}": value for (mode, w, t), value in means.items()},
    }
    print(f"written to {save('fusion_weights', figures)}")


if __name__ == "__main__":
    main()
