"""How well does the field of view found in an image agree with the mask its data set gives?

Intersection over union for every image of four data sets of photographs under `$FUNDUSRT_DATA` that come with masks. A
mask of another size than its image is resized to it by nearest neighbour.

    python -m benchmarks.field_of_view
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np

import fundusrt
from benchmarks.real_angiograms import DATA
from benchmarks.record import save

# name: images, masks, what follows the image's stem in the mask's name
SETS = {
    "IDRiD": ("idrid_fullres/images/*.jpg", "idrid_fullres/fov", "*.png"),
    "HRF": ("hrf/images/*", "hrf/fov", "*"),
    "DRIVE": ("drive/training/images/*.tif", "drive/training/mask", "_mask.gif"),
    "EyeQ": ("eyeq/lowq_512/images/*", "eyeq/lowq_512/fov_800", "_fov.png"),
}
OUTSIDE_MARKED = "idrid_fullres/fov"  # these masks are white where there is no retina


def agreement(image: Path, mask: Path) -> float:
    """Return the intersection over union of the field found in an image and the one given."""
    import cv2

    found = fundusrt.read_image(image).fov
    given = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    if given is None:
        raise SystemExit(f"{mask} cannot be read")
    if given.shape != found.shape:
        given = cv2.resize(given, found.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    inside = (np.asarray(given) > 127) != (mask.parent == DATA / OUTSIDE_MARKED)
    return float((found & inside).sum() / max(1, (found | inside).sum()))


def main() -> None:
    """Measure every data set that is there, print a table, write the figures."""
    rows: dict[str, Any] = {}
    for name, (images, masks, ending) in SETS.items():
        values: dict[str, float] = {}
        for image in sorted(DATA.glob(images)):
            for mask in sorted((DATA / masks).glob(f"{image.stem}{ending}"))[:1]:
                values[image.name] = agreement(image, mask)
        if values:
            rows[name] = {"images": len(values), "median": statistics.median(values.values()), "each": values}
    if not rows:
        raise SystemExit(f"no data set in {DATA}; set FUNDUSRT_DATA")
    print(f"{'data set':<10} {'images':>6} {'median IoU':>11} {'lowest':>8}")
    for name, row in rows.items():
        print(f"{name:<10} {row['images']:6d} {row['median']:11.4f} {min(row['each'].values()):8.4f}")
    print(f"written to {save('field_of_view', {'question': __doc__.splitlines()[0], 'sets': rows})}")


if __name__ == "__main__":
    main()
