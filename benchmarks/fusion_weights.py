"""Which fusion weight, threshold, order and mode of CGNR are best on validation images?

Both branches run once an image; every combination is then scored on the same two maps: mean Dice, HD95
and ASD in px. Choose on validation images, report on test images.

    python -m benchmarks.fusion_weights CHECKPOINT DATA [--weights 0.5,0.6,0.7] [--thresholds 0.5] [--device cuda]
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
ORDERS = ("cgnr_then_fuse", "fuse_then_cgnr")
Choice = tuple[str, str, float, float]
METRICS = ("dice", "hd95", "asd")


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=_numbers, default=WEIGHTS, help="of the whole-image branch")
    parser.add_argument("--thresholds", type=_numbers, default=THRESHOLDS)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="where the networks run")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    state, settings = load_checkpoint(options.checkpoint)
    config = CmwnetConfig.from_dict(settings)
    module = CmwnetModule(config)
    module.load_weights(state)
    module.to(options.device)
    pipeline = torch_pipeline(config, module.large, module.small)
    chosen = pipeline.manifest.postprocess
    scores: dict[Choice, list[Scores]] = {
        (order, mode, w, t): []
        for order in ORDERS
        for mode in MODES
        for w in options.weights
        for t in options.thresholds
    }
    for case in read_folder(options.data):
        image = prepare(case, config.working_image_spec(), options.cache or default_cache())
        maps = branch_maps(pipeline, "cmwnet", image.whole, image.grid, image.height, image.width)
        reference, fov = image.original_mask, image.original_fov
        for order, mode, weight, threshold in scores:
            changes = {"order": order, "w_large": weight, "threshold": threshold}
            post = chosen.model_copy(update={**changes, "cgnr": chosen.cgnr.model_copy(update={"mode": mode})})
            pipeline.manifest = pipeline.manifest.model_copy(update={"postprocess": post})
            p = combine(pipeline, "cmwnet", maps, fov)
            scores[order, mode, weight, threshold].append(score(p >= np.float32(threshold), reference))
    means = {
        each: {metric: float(np.mean([getattr(one, metric) for one in values])) for metric in METRICS}
        for each, values in scores.items()
    }
    for order in ORDERS:
        for mode in MODES:
            print(f"{order}, CGNR {mode}; Dice, HD95, ASD")
            print("w_large  " + "".join(f"threshold {t:<14g}" for t in options.thresholds))
            for weight in options.weights:
                row = (means[order, mode, weight, threshold] for threshold in options.thresholds)
                print(f"{weight:<9g}" + "".join(f"{m['dice']:<8.4f}{m['hd95']:<8.1f}{m['asd']:<8.2f}" for m in row))
    best = max(means, key=lambda each: means[each]["dice"])
    print(f"best Dice: {_text(best)}: {means[best]['dice']:.4f}")
    figures = {
        "question": __doc__.splitlines()[0],
        "networks_ran_on": str(options.device),
        "images": len(next(iter(scores.values()))),
        "means": {_text(each): value for each, value in means.items()},
    }
    print(f"written to {save('fusion_weights', figures)}")


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _text(choice: Choice) -> str:
    order, mode, weight, threshold = choice
    return f"{order}, CGNR {mode}, w_large {weight:g}, threshold {threshold:g}"


if __name__ == "__main__":
    main()
