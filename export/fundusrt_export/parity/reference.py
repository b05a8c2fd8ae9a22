"""The whole system in plain PyTorch: the truth that the deployed pipeline is compared with.

Written for reading, not for speed: no tiling geometry, stitcher, resize or fusion of the SDK is used (specification:
CMWNet paper, Methods; tiles are cut and put together by reshape and permute). Pre-processing to uint8 is the SDK's,
which training uses too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from fundusrt.cgnr import cgnr
from fundusrt.image import FundusImage
from fundusrt.manifest import CmwnetManifest, PostprocessSpec, PreprocessSpec
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole, to_tensor
from fundusrt_export.parity.grid_shift import Shifted, shifted_grid

__all__ = ["ReferenceMaps", "run_reference"]

Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ReferenceMaps:
    """Every stage of one image.

    Attributes:
        grid: (512 R, 512 C[, 3]) uint8, pre-processed.
        whole: (512, 512[, 3]) uint8, pre-processed.
        p_whole: (512, 512) probability of the whole-image branch.
        p_grid: (512 R, 512 C) probability of the tile branch.
        p_large: (H, W) `p_whole` at the image's size.
        p_small: (H, W) `p_grid` at the image's size.
        shifted: the middle of the grid, cut half a tile off.
        p_shifted: probability of the tile branch on it.
        mask: (H, W) bool.
    """

    grid: npt.NDArray[np.uint8]
    whole: npt.NDArray[np.uint8]
    p_whole: Map
    p_grid: Map
    p_large: Map
    p_small: Map
    shifted: Shifted
    p_shifted: Map
    mask: npt.NDArray[np.bool_]


@torch.no_grad()
def run_reference(large: nn.Module, small: nn.Module, image: FundusImage, manifest: CmwnetManifest) -> ReferenceMaps:
    """Run one image.

    Args:
        large: whole-image network in eval mode, (1, C, H, W) to logits.
        small: tile network, likewise.
        image: the image.
        manifest: sizes, pre- and post-processing.
    """
    enhanced = enhance(image, manifest.preprocess)
    whole = shrink_whole(enhanced, manifest.whole_image)
    grid = fit_to_grid(enhanced, manifest.tile)
    p_whole = torch.sigmoid(large(_network_input(whole, manifest.preprocess)))[0, 0]
    p_grid = _run_tiles(small, _network_input(grid, manifest.preprocess), manifest.tile.size)
    shifted = shifted_grid(grid, manifest.tile.size)
    p_shifted = _run_tiles(small, _network_input(shifted.pixels, manifest.preprocess), manifest.tile.size)
    size = (image.height, image.width)
    p_large, p_small = (_resize(p, size, manifest.postprocess) for p in (p_whole, p_grid))
    probability = _fuse(p_large, p_small, manifest.postprocess)
    mask = (probability >= manifest.postprocess.threshold).numpy() & image.fov
    return ReferenceMaps(
        grid=grid,
        whole=whole,
        p_whole=p_whole.numpy(),
        p_grid=p_grid.numpy(),
        p_large=p_large.numpy(),
        p_small=p_small.numpy(),
        shifted=shifted,
        p_shifted=p_shifted.numpy(),
        mask=np.asarray(mask, bool),
    )


def _network_input(pixels: npt.NDArray[np.uint8], spec: PreprocessSpec) -> Tensor:
    """(H, W[, 3]) uint8 to (1, C, H, W) float32."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255.0
    x = x[None].expand(spec.channels, -1, -1) if x.ndim == 2 else x.permute(2, 0, 1)
    if spec.channels == 1 and x.shape[0] == 3:
        return torch.from_numpy(to_tensor(pixels, spec))[None]
    mean, std = (torch.tensor(values[: spec.channels])[:, None, None] for values in (spec.mean, spec.std))
    return ((x - mean) / std)[None]


def _run_tiles(network: nn.Module, x: Tensor, side: int) -> Tensor:
    """(1, C, R side, C side) to (R side, C side) probabilities: cut, one tile at a time, put together."""
    channels, rows, columns = x.shape[1], x.shape[2] // side, x.shape[3] // side
    tiles = (
        x[0].reshape(channels, rows, side, columns, side).permute(1, 3, 0, 2, 4).reshape(-1, 1, channels, side, side)
    )
    p = torch.cat([torch.sigmoid(network(tile)) for tile in tiles])
    return p.reshape(rows, columns, side, side).permute(0, 2, 1, 3).reshape(rows * side, columns * side)


def _resize(p: Tensor, size: tuple[int, int], spec: PostprocessSpec) -> Tensor:
    def bilinear(values: Tensor) -> Tensor:
        # In float64: float32 places the samples of a 12-megapixel image 1e-4 px off, which is 1.6e-4 at a steep border.
        wide = values[None, None].double()
        return functional.interpolate(wide, size=size, mode="bilinear", align_corners=False)[0, 0].float()

    if tuple(p.shape) == size:
        return p
    return bilinear(p) if spec.upsample_on == "prob" else torch.sigmoid(bilinear(torch.logit(p, 2**-20)))


def _fuse(p_large: Tensor, p_small: Tensor, spec: PostprocessSpec) -> Tensor:
    """CGNR: B' = B or (G and dilate3x3(B)); a pixel it switches on takes p_L. Then, or before, the weighted mean."""

    def mean(p: Tensor) -> Tensor:
        return p + spec.w_large * (p_large - p)

    base = mean(p_small) if spec.order == "fuse_then_cgnr" else p_small
    refined = base
    if spec.cgnr.enabled:
        mask, guide = base >= spec.threshold, p_large >= spec.threshold
        refined = torch.where(_grown(mask, guide, spec.cgnr.mode) & ~mask, p_large, base)
    return mean(refined) if spec.order == "cgnr_then_fuse" else refined


def _grown(mask: Tensor, guide: Tensor, mode: str) -> Tensor:
    if mode != "parallel":
        return torch.from_numpy(cgnr(mask.numpy(), guide.numpy(), "raster" if mode == "raster" else "converge"))
    dilated = functional.max_pool2d(mask.float()[None, None], 3, stride=1, padding=1)[0, 0] > 0
    return mask | (guide & dilated)
