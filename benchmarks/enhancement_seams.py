"""Does enhancement leave seams? The whole frame, as deployed, beside tiles with and without blending.

What the network changed should run smoothly on across the border of two tiles. The measure is the mean absolute step of
the change from one px to the next across the border, over the same mean around it (2 to 9 px to either side), inside
the field of view: 1 is no seam. The whole frame has no tiles, but stage 1 encodes its top and bottom half apart, so the
middle row is measured. Tiles are of the network's own size, four of them in a frame of twice its side.

    python -m benchmarks.enhancement_seams IMAGE... [--bundle enhance]
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from monai.inferers.utils import sliding_window_inference
from torch import Tensor

import fundusrt
from benchmarks.record import save
from fundusrt.enhancement_pipeline import EnhancementPipeline
from fundusrt.frame_pipeline import cut_frame
from fundusrt.native_enhancement import rgb_8_bit

Map = npt.NDArray[np.float32]
NEAR = [*range(-9, -1), *range(2, 10)]  # px from the border


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--bundle", default="enhance")
    options = parser.parse_args()
    pipeline = fundusrt.load(options.bundle)
    if not isinstance(pipeline, EnhancementPipeline):
        parser.error(f"{options.bundle} does not enhance")
    found: dict[str, list[float]] = {}
    for path in options.images:
        for way, seam in _seams(pipeline, fundusrt.read_image(path)).items():
            found.setdefault(way, []).append(seam)
    rows = {way: {"mean": float(np.mean(each)), "largest": max(each)} for way, each in found.items()}
    print(f"{'':<24}{'mean':<8}largest of {len(options.images)} images; 1 is no seam")
    for way, row in rows.items():
        print(f"{way:<24}{row['mean']:<8.3f}{row['largest']:.3f}")
    figures = {
        "question": __doc__.splitlines()[0],
        "bundle": f"{pipeline.manifest.name} {pipeline.manifest.version}",
        "images": [path.name for path in options.images],
        "seams": rows,
    }
    print(f"written to {save('enhancement_seams', figures)}")


def _seams(pipeline: EnhancementPipeline, eye: fundusrt.FundusImage) -> dict[str, float]:
    """Return the measure of each way for one photograph."""
    frame, pixels = cut_frame(eye, pipeline.manifest)
    fov = frame.cut_field(eye.fov)
    change = _change(pipeline.run_frame(pixels), pixels)
    seams = {"whole frame": seam(change, fov, change.shape[0] // 2)}

    side = pipeline.manifest.frame.height_px
    large = dataclasses.replace(frame, spec=frame.spec.model_copy(update={"height_px": 2 * side, "width_px": 2 * side}))
    pixels, fov = large.cut(rgb_8_bit(eye), eye.fov), large.cut_field(eye.fov)
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].float()

    def network(tiles: Tensor) -> Tensor:
        made = [pipeline.run_frame(tile.permute(1, 2, 0).to(torch.uint8).numpy()) for tile in tiles]
        return torch.from_numpy(np.stack(made))

    for way, overlap, mode in (("tiles", 0.0, "constant"), ("tiles, blended", 0.25, "gaussian")):
        enhanced = sliding_window_inference(planes, (side, side), 1, network, overlap=overlap, mode=mode)
        if not isinstance(enhanced, Tensor):
            raise TypeError(f"one tensor is expected, not {type(enhanced)}")
        change = _change(enhanced[0].numpy(), pixels)
        # Blended tiles begin where the next one's weight sets in.
        rows = [side] if overlap == 0.0 else [side // 2, side, 3 * side // 2]
        across = [seam(part, fov_part, row) for row in rows for part, fov_part in ((change, fov), (change.T, fov.T))]
        seams[way] = max(across)
    return seams


def seam(change: Map, fov: npt.NDArray[np.bool_], row: int) -> float:
    """Return the mean step of a change across the border above a row, over the mean step around it.

    Args:
        change: (H, W) float32.
        fov: (H, W) bool: steps between two px inside count.
        row: first row below the border, at least 10 px from the map's ends.
    """

    def step(at: int) -> float:
        inside = fov[at] & fov[at - 1]
        return float(np.abs(change[at] - change[at - 1])[inside].mean())

    return step(row) / float(np.mean([step(row + offset) for offset in NEAR]))


def _change(enhanced: Map, pixels: npt.NDArray[np.uint8]) -> Map:
    """Return what was changed, mean over the channels, in grey levels."""
    planes = np.broadcast_to(pixels[..., None] if pixels.ndim == 2 else pixels, (*pixels.shape[:2], 3))
    return (enhanced.transpose(1, 2, 0) * np.float32(255.0) - planes).mean(axis=2)


if __name__ == "__main__":
    main()
