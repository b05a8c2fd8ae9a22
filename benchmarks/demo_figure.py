"""The picture in the README: the shipped sample, the probability map and the overlay, from the shipped bundle.

python -m benchmarks.demo_figure        (writes docs/figures/demo.png)
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import fundusrt
from fundusrt.atomic import write_bytes
from fundusrt.commands.demo import sample_path

FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "demo.png"
PANEL_PX = 480


def main() -> None:
    """Run the sample and write the three panels side by side."""
    result = fundusrt.load("leakage")(sample_path())
    grey = np.repeat(result.image.pixels[..., None], 3, axis=2)
    probability = np.repeat(np.rint(255 * result.probability).astype(np.uint8)[..., None], 3, axis=2)
    panels = [_shrunken(panel) for panel in (grey, probability, result.overlay()[..., ::-1])]
    done, encoded = cv2.imencode(".png", np.concatenate(panels, axis=1), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise RuntimeError("OpenCV could not encode the figure")
    write_bytes(FIGURE, encoded.tobytes())
    print(f"written to {FIGURE}")


def _shrunken(panel: np.ndarray) -> np.ndarray:
    height = round(PANEL_PX * panel.shape[0] / panel.shape[1])
    return cv2.resize(panel, (PANEL_PX, height), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
