"""What does the shipped model do on real ultra-widefield angiograms, in what time and memory?

Each image runs in a process of its own: seconds, peak memory above the loaded model, share of the field marked, share
of the field marked within the rim band, and pixels marked outside the field (must be 0). There is no ground truth; look
at the overlays in the output folder.

    python -m benchmarks.real_angiograms OUT [IMAGE...]      (default images: $FUNDUSRT_DATA/uwfa/0*.jpg)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.record import save

DATA = Path(os.environ.get("FUNDUSRT_DATA", Path(__file__).parents[2] / "shared" / "data"))
RIM_SHARE = 0.02  # the rim band: this share of the image's width, inside the field's edge


def measure(image: Path, out: Path) -> dict[str, Any]:
    """Run one image in this process and return its figures."""
    import cv2
    import numpy as np

    import fundusrt

    pipeline = fundusrt.load("leakage")
    loaded_mib = _peak_mib()
    start = time.perf_counter()
    result = pipeline(image)
    seconds = time.perf_counter() - start
    peak_mib = _peak_mib()
    result.save(out)
    field = result.image.fov
    rim_px = max(1, round(RIM_SHARE * field.shape[1]))
    padded = cv2.copyMakeBorder(field.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0.0,))
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    rim = field & (depth <= rim_px)
    return {
        "image": image.name,
        "image_px": list(result.provenance.image_px),
        "seconds": seconds,
        "network_seconds": (result.timings_ms["network_small"] + result.timings_ms["network_large"]) / 1000.0,
        "peak_mib_over_loaded_model": peak_mib - loaded_mib,
        "loaded_model_mib": loaded_mib,
        "lesions": len(result.lesions),
        "marked_share_of_field": result.area_fraction,
        "marked_share_of_field_in_rim_band": float(np.count_nonzero(result.mask & rim) / max(1, result.fov_area_px)),
        "marked_px_outside_field": int(np.count_nonzero(result.mask & ~field)),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> None:
    """Measure every image in a process of its own, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.images[0], options.out)))
        return
    images = options.images or sorted((DATA / "uwfa").glob("0*.jpg"))
    if not images:
        parser.error(f"no images in {DATA / 'uwfa'}; name some, or set FUNDUSRT_DATA")
    rows: list[dict[str, Any]] = []
    for image in images:
        command = [sys.executable, "-m", "benchmarks.real_angiograms", str(options.out), str(image), "--one"]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(answer.stdout))
    print(f"{'image':<16} {'seconds':>8} {'peak MiB':>9} {'lesions':>8} {'field %':>8} {'rim %':>7} {'outside px':>11}")
    for row in rows:
        print(
            f"{row['image']:<16} {row['seconds']:8.2f} {row['peak_mib_over_loaded_model']:9.0f} {row['lesions']:8d} "
            f"{100 * row['marked_share_of_field']:8.3f} {100 * row['marked_share_of_field_in_rim_band']:7.3f} "
            f"{row['marked_px_outside_field']:11d}"
        )
    print(f"written to {save('real_angiograms', {'question': __doc__.splitlines()[0], 'images': rows})}")


if __name__ == "__main__":
    main()
