"""How well does a bundle find exudates in whole photographs at their own size, in colour and in grey?

All pixels of a data set in one pool (micro-averages, as the SS-MAF paper's): Dice, recall and precision at the bundle's
threshold, PR-AUC, and the threshold that would have been best on these very images. Dice's 95 % interval is a bootstrap
over photographs. Photographs without exudates count: everything marked there is a false alarm.

    python -m benchmarks.native_exudates DATA [--bundle exudate] [--out OVERLAYS] [--limit N]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import fundusrt
from benchmarks.record import save
from fundusrt.exudate_pipeline import ExudatePipeline
from fundusrt.preprocess import to_8_bit
from fundusrt_training.bootstrap import interval_95, resamples
from fundusrt_training.data.exudates import read_exudates
from fundusrt_training.pooled_metrics import PooledMetrics, pooled_figures

THRESHOLDS = np.arange(0.05, 1.0, 0.05)


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", choices=("train", "test"), default="test")
    parser.add_argument("--bundle", default="exudate")
    parser.add_argument("--out", type=Path, default=None, help="folder for the results in colour")
    parser.add_argument("--limit", type=int, default=None, help="only the first images by name")
    options = parser.parse_args()
    pipeline = fundusrt.load(options.bundle)
    if not isinstance(pipeline, ExudatePipeline):
        parser.error(f"{options.bundle} does not find exudates")
    cases = read_exudates(options.data, options.part)[: options.limit]
    rows: dict[str, Any] = {}
    for colour in ("as it is", "grey"):
        pools: list[PooledMetrics] = []
        for case in cases:
            eye = fundusrt.read_image(case.image)
            if colour == "grey":
                eye = fundusrt.from_array(_luma(to_8_bit(eye.pixels)), source_id=eye.source_id)
            result = pipeline(eye)
            if options.out is not None and colour == "as it is":
                result.save(options.out)
            reference, pool = case.mask(), PooledMetrics()
            pool.add_mask(result.mask, reference)
            pool.add_probability(result.probability, reference)
            pools.append(pool)
        rows[colour] = _figures(pools)
        row = rows[colour]
        print(
            f"{colour:<10} Dice {row['dice']:.3f} ({row['dice_interval'][0]:.3f} to {row['dice_interval'][1]:.3f}), "
            f"recall {row['recall']:.3f}, precision {row['precision']:.3f}, PR-AUC {row['pr_auc']:.3f}; best Dice here "
            f"{row['best_dice']:.3f} at {row['best_threshold']:.2f}; {len(pools)} photographs"
        )
    name = "_".join(options.data.resolve().parts[-2:])
    figures = {
        "question": __doc__.splitlines()[0],
        "data": name,
        "bundle": f"{pipeline.manifest.name} {pipeline.manifest.version}",
        "threshold": pipeline.manifest.postprocess.threshold,
        "images": len(cases),
        "rows": rows,
    }
    print(f"written to {save(f'native_exudates_{name}', figures)}")


def _luma(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return what a monochrome copy of a photograph shows (ITU-R BT.601)."""
    import cv2

    return pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _figures(pools: list[PooledMetrics]) -> dict[str, Any]:
    whole = np.arange(len(pools))[None]
    figures = {name: float(values[0]) for name, values in pooled_figures(pools, whole).items()}
    low, high = interval_95(pooled_figures(pools, resamples(len(pools)))["dice"])
    levels = np.sum([pool.levels for pool in pools], axis=0)
    dice = [_dice_at(levels, threshold) for threshold in THRESHOLDS]
    best = int(np.argmax(dice))
    return {
        **figures,
        "dice_interval": [low, high],
        "best_dice": dice[best],
        "best_threshold": float(THRESHOLDS[best]),
    }


def _dice_at(levels: npt.NDArray[np.int64], threshold: float) -> float:
    """Return Dice from (2, n + 1) pixels by probability: the negatives', the positives'."""
    first = round(threshold * (levels.shape[1] - 1))
    alarms, hits = levels[:, first:].sum(axis=1)
    return float(2 * hits / max(1, alarms + hits + levels[1].sum()))


if __name__ == "__main__":
    main()
