"""A picture of what a bundle makes of an image, for a model card: the image on the left, the result on the right.

Where a reference mask is given: hits yellow, false alarms red, misses green.

    python -m benchmarks.example_figure BUNDLE IMAGE OUT.jpg [--reference MASK] [--box TOP LEFT BOTTOM RIGHT]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import fundusrt
from fundusrt.atomic import write_bytes
from fundusrt.enhancement_result import EnhancementResult
from fundusrt.preprocess import to_8_bit
from fundusrt_training.overlay import overlay

Picture = npt.NDArray[np.uint8]
PANEL_PX = 420
GAP_PX = 6
QUALITY = 88


def main() -> None:
    """Run the bundle and write the two panels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("image", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--reference", type=Path, default=None, help="mask of the image's size")
    parser.add_argument("--box", type=int, nargs=4, default=None, help="part of the image that is shown, in px")
    options = parser.parse_args()
    result = fundusrt.load(options.bundle)(options.image)
    before = to_8_bit(fundusrt.read_image(options.image).pixels)
    if isinstance(result, EnhancementResult):
        after = result.image
    elif options.reference is None:
        after = result.overlay()
    else:
        reference = cv2.imread(str(options.reference), cv2.IMREAD_GRAYSCALE)
        if reference is None:
            parser.error(f"{options.reference} is no picture")
        after = overlay(before, result.mask, reference > 0)
    colour = before if before.ndim == 3 else np.repeat(before[..., None], 3, axis=2)
    top, left, bottom, right = options.box or (0, 0, *colour.shape[:2])
    panels = [_shrunken(panel[top:bottom, left:right]) for panel in (colour, after)]
    gap = np.full((panels[0].shape[0], GAP_PX, 3), 255, np.uint8)
    picture = np.concatenate([panels[0], gap, panels[1]], axis=1)
    done, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise RuntimeError("OpenCV could not encode the figure")
    write_bytes(options.out, encoded.tobytes())
    print(f"written to {options.out}")


def _shrunken(panel: Picture) -> Picture:
    height = max(1, round(PANEL_PX * panel.shape[0] / panel.shape[1]))
    shrinks = panel.shape[1] >= PANEL_PX
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(panel, (PANEL_PX, height), interpolation=interpolation), np.uint8)


if __name__ == "__main__":
    main()
