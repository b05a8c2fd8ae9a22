"""How close do generated angiograms come to real ones in the statistics of their grey levels?

Percentiles, histogram, contrast at seven scales and mean grey level by distance from the centre, of the real images in
$FUNDUSRT_DATA/uwfa and of as many generated ones; prints tables and writes docs/figures/angiogram-realism.png, which
holds generated pictures and curves only. Real pictures never enter the repository: --beside OUT writes them next to
generated ones, to a folder outside of it.

    python -m benchmarks.angiogram_realism [--count N] [--seed S] [--beside OUT]
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path
from typing import Any

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from benchmarks.record import save
from fundusrt_training.data.angiogram import Angiogram, generate

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("FUNDUSRT_DATA", Path(__file__).parents[2] / "shared" / "data"))
FIGURE = ROOT / "docs" / "figures" / "angiogram-realism.png"
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
SIGMAS = (1, 2, 4, 8, 16, 32, 64)


def field(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the lit field, found alike in real and generated images, without its rim."""
    lit = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 12) > 5
    inner = cv2.erode(lit.astype(np.uint8), np.ones((61, 61), np.uint8)) > 0
    inner[:40] = inner[-40:] = False
    inner[:, :40] = inner[:, -40:] = False
    return inner


def contrast(grey: NDArray[np.uint8], inside: NDArray[np.bool_]) -> list[float]:
    """Return the standard deviation of each band over the local mean; a band is what the next blur takes away."""
    picture = grey.astype(np.float32)
    local = _blur(picture, 128) + 2
    bands: list[float] = []
    for sigma in SIGMAS:
        softer = _blur(grey.astype(np.float32), sigma)
        bands.append(float(((picture - softer) / local)[inside].std()))
        picture = softer
    return bands


def _blur(picture: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    shrink = max(1, int(sigma) // 4)
    if shrink == 1:
        return cv2.GaussianBlur(picture, (0, 0), sigma)
    small = cv2.resize(picture, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / shrink), picture.shape[::-1])


def profile(grey: NDArray[np.uint8], inside: NDArray[np.bool_], rings: int = 20) -> list[float | None]:
    """Return the mean grey level in rings about the centre of the image (1 = corner); None where no field is."""
    height, width = grey.shape
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(y / height - 0.5, x / width - 0.5) / np.hypot(0.5, 0.5)
    ring = np.minimum((distance * rings).astype(np.int64), rings - 1)[inside]
    count = np.bincount(ring, minlength=rings)
    total = np.bincount(ring, grey[inside], rings)
    return [float(t / c) if c else None for t, c in zip(total, count, strict=True)]


def statistics(grey: NDArray[np.uint8]) -> dict[str, Any]:
    """Return all statistics of one image, (H, W) uint8."""
    inside = field(grey)
    histogram = np.bincount(grey[inside], minlength=256) / max(1, int(inside.sum()))
    return {
        "percentiles": [float(v) for v in np.percentile(grey, PERCENTILES)],
        "contrast": contrast(grey, inside),
        "profile": profile(grey, inside),
        "histogram": [float(v) for v in histogram],
        "lit_share": float(inside.mean()),
    }


def draw(angiograms: list[Angiogram], made: list[dict[str, Any]], real: list[dict[str, Any]]) -> None:
    """Write the figure: generated pictures with their masks outlined, and the curves of both kinds."""
    figure = plt.figure(figsize=(13, 9.5), layout="constrained")
    grid = figure.add_gridspec(3, 4, height_ratios=[1, 1, 0.9])
    for index, angiogram in enumerate(angiograms[:8]):
        axis = figure.add_subplot(grid[index // 4, index % 4])
        axis.imshow(_outlined(angiogram))
        axis.set_title(f"seed {angiogram.seed}, leakage {100 * angiogram.facts['leakage_share']:.2f} %", fontsize=8)
        axis.axis("off")
    panels = (
        (
            "grey level (in the lit field)",
            "share of pixels (smoothed)",
            lambda s: _smoothed(s["histogram"]),
            range(256),
        ),
        ("finer edge of the band, sigma in px", "contrast in the band", lambda s: s["contrast"], SIGMAS),
        ("distance from the centre (1 = corner)", "mean grey level", lambda s: _numbers(s["profile"]), None),
        ("percentile of the whole image", "grey level", lambda s: s["percentiles"], PERCENTILES),
    )
    for index, (x_label, y_label, curve, x) in enumerate(panels):
        axis = figure.add_subplot(grid[2, index])
        for group, colour, name in ((made, "tab:blue", "generated"), (real, "tab:orange", "real (curves only)")):
            for order, entry in enumerate(group):
                values = curve(entry)
                places = list(x) if x is not None else list(np.linspace(0, 1, len(values)))
                label = name if order == 0 else None
                axis.plot(places, values, color=colour, lw=1, alpha=0.45 if group is made else 1, label=label)
        axis.set_xlabel(x_label, fontsize=8)
        axis.set_ylabel(y_label, fontsize=8)
        axis.tick_params(labelsize=7)
        if index == 0:
            axis.set_yscale("log")
            axis.set_ylim(1e-6, 1)
            axis.legend(fontsize=7)
        if index == 1:
            axis.set_xscale("log", base=2)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=100)


def _smoothed(histogram: list[float]) -> list[float]:
    return [float(v) for v in np.convolve(histogram, np.ones(5) / 5, "same")]


def _numbers(values: list[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]


def _outlined(angiogram: Angiogram) -> NDArray[np.uint8]:
    """A small bright-toned picture with the leakage outlined."""
    small = cv2.resize(angiogram.image, (780, 614), interpolation=cv2.INTER_AREA)
    colour = cv2.cvtColor(np.rint(255 * (small / 255) ** 0.5).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    mask = cv2.resize(angiogram.leakage.astype(np.uint8) * 255, (780, 614), interpolation=cv2.INTER_AREA) > 127
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(colour, outlines, -1, (255, 80, 80), 1), np.uint8)


def beside(out: Path, real: dict[str, NDArray[np.uint8]], angiograms: list[Angiogram]) -> None:
    """Write each real image next to a generated one, whole and as native crops, outside the repository."""
    out.mkdir(parents=True, exist_ok=True)
    for (name, grey), angiogram in zip(real.items(), angiograms, strict=False):
        pair = [_toned(cv2.resize(g, (1290, 1000), interpolation=cv2.INTER_AREA)) for g in (grey, angiogram.image)]
        cv2.imwrite(str(out / f"{name}_whole.png"), np.hstack(pair))
        height, width = grey.shape
        spots = [(height // 2 - 350, width // 2 - 350), (height // 2 - 350, width - 1000), (height - 900, width // 2)]
        rows = [np.hstack([_toned(g[y : y + 700, x : x + 700]) for g in (grey, angiogram.image)]) for y, x in spots]
        cv2.imwrite(str(out / f"{name}_native.png"), np.vstack(rows))


def _toned(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.rint(255 * (grey / 255) ** 0.6).astype(np.uint8)


def _table(
    title: str, heads: tuple[int, ...], made: list[list[float]], real: dict[str, list[float]], form: str
) -> None:
    print(f"\n{title}")
    print(f"{'':<22}" + "".join(f"{head:>9}" for head in heads))
    for name, row in real.items():
        print(f"{'real ' + name:<22}" + "".join(f"{value:>9{form}}" for value in row))
    for name, row in zip(("lowest", "median", "highest"), np.percentile(made, [0, 50, 100], axis=0), strict=True):
        print(f"{'generated, ' + name:<22}" + "".join(f"{value:>9{form}}" for value in row))


def main() -> None:
    """Generate, measure both kinds, print, draw and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--beside", type=Path)
    options = parser.parse_args()
    if options.beside and options.beside.resolve().is_relative_to(ROOT):
        parser.error(f"--beside {options.beside}: real pictures must not enter the repository; name a folder outside")
    cv2.setNumThreads(1)
    first_peak_mib = 0.0
    paths = sorted((DATA / "uwfa").glob("0*.jpg"))
    if not paths:
        parser.error(f"no images in {DATA / 'uwfa'}; set FUNDUSRT_DATA")
    angiograms: list[Angiogram] = []
    made: list[dict[str, Any]] = []
    seconds: list[float] = []
    for seed in range(options.seed, options.seed + options.count):
        wall, cpu = time.perf_counter(), time.process_time()
        angiogram = generate(seed)
        seconds.append(time.process_time() - cpu)
        print(f"seed {seed}: {time.perf_counter() - wall:.2f} s, {seconds[-1]:.2f} s of one core")
        first_peak_mib = first_peak_mib or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        made.append(statistics(angiogram.image))
        if len(angiograms) < 8:
            angiograms.append(angiogram)
    real = {path.stem: np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8) for path in paths}
    real_statistics = {name: statistics(grey) for name, grey in real.items()}
    rows = {name: entry["percentiles"] for name, entry in real_statistics.items()}
    _table("grey level at percentile", PERCENTILES, [m["percentiles"] for m in made], rows, ".0f")
    rows = {name: entry["contrast"] for name, entry in real_statistics.items()}
    _table("contrast by scale (sigma, px)", SIGMAS, [m["contrast"] for m in made], rows, ".4f")
    print(f"\n{np.median(seconds):.2f} s of one core an image (median); peak {first_peak_mib:.0f} MiB for the first")
    draw(angiograms, made, list(real_statistics.values()))
    if options.beside:
        beside(options.beside, real, angiograms)
    figures = {
        "question": __doc__.splitlines()[0],
        "seconds_of_one_core": seconds,
        "peak_mib_first_image": first_peak_mib,
        "generated": [{k: m[k] for k in ("percentiles", "contrast", "lit_share")} for m in made],
        "real": {n: {k: m[k] for k in ("percentiles", "contrast", "lit_share")} for n, m in real_statistics.items()},
    }
    print(f"written to {FIGURE} and {save('angiogram_realism', figures)}")


if __name__ == "__main__":
    main()
