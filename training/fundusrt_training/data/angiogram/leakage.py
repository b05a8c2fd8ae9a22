"""Leakage: hazy bright lesions of many kinds, and the mask they define.

The rule of the mask, for each lesion alone: pixels where the graded shape of the lesion (without inner structure) is at
least half its own peak, where that half amplitude is at least `min_contrast` of the local background without vessels
and `min_increment_grey` grey levels, and to which at least `min_light` of the light gets past rim, lids and lashes. A
lesion of which less than 60 % of its half-amplitude area passes is not drawn at all, so that nothing visible is
unmarked except dim outskirts. Rule of this project; no publication states one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.config import AngiogramConfig
from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.field import Field
from fundusrt_training.data.angiogram.lesions import (
    along_vessel,
    bud,
    cluster,
    diffuse_macular,
    frond,
    haze,
    microaneurysm,
    petaloid,
)
from fundusrt_training.data.angiogram.patch import Patch
from fundusrt_training.data.angiogram.vessels import VesselTree

__all__ = ["Leakage", "draw_coverage", "paint_leakage", "visible_pixels"]

_LOCAL_PX = 20  # half side of the neighbourhood that counts as local background


@dataclasses.dataclass(frozen=True)
class Leakage:
    """The leakage layer of one image.

    glow: (H, W) float32, brightness it adds, in units of well lit background. mask: (H, W) bool.
    lesions: kind, centre (y, x), equivalent diameter in px and peak brightness of each lesion drawn.
    """

    glow: NDArray[np.float32]
    mask: NDArray[np.bool_]
    lesions: list[dict[str, object]]


def draw_coverage(rng: np.random.Generator, config: AngiogramConfig) -> float:
    """Draw the share of the field of view to be covered by leakage: 0, or log-normal clipped to its range."""
    none = rng.random() < config.leak_free_fraction
    share = config.coverage_median * math.exp(rng.normal(0, config.coverage_log_sigma))
    return 0.0 if none else min(max(share, config.coverage_range[0]), config.coverage_range[1])


def paint_leakage(
    rng: np.random.Generator,
    eye: Eye,
    tree: VesselTree,
    field: Field,
    light: NDArray[np.float32],
    base: NDArray[np.float32],
    grey_per_unit: float,
    config: AngiogramConfig,
) -> Leakage:
    """Draw lesions until their masks cover the share of the field of view drawn for this image.

    light: (H, W) float32, share of light past rim, lids, lashes. base: (H, W) float32, background without vessels.
    grey_per_unit: grey levels of background 1 in light 1.
    """
    glow = np.zeros((eye.height, eye.width), np.float32)
    mask = np.zeros((eye.height, eye.width), bool)
    lesions: list[dict[str, object]] = []
    target = draw_coverage(rng, config) * int(field.fov.sum())
    covered = 0.0
    sites = _Sites(rng, eye, tree, light)
    # an eye has a disease: few kinds prevail in one image
    weights = rng.dirichlet(np.full(len(_KINDS), 0.7)) + 0.02
    weights /= weights.sum()
    largest = math.sqrt(max(target, 1.0))
    for _ in range(160):
        missing = target - covered
        if missing < 0.08 * target or target <= 0:
            break
        kind = _KINDS[int(rng.choice(len(_KINDS), p=weights))]
        radius = min(eye.px(kind.median_px * math.exp(rng.normal(0, kind.log_sigma))), 0.62 * math.sqrt(missing) + 1.0)
        radius = max(radius, eye.px(7.0), min(3.0, largest))
        if kind.macular and any(lesion["kind"] == kind.name for lesion in lesions):
            continue
        patch = kind.draw(rng, eye, sites, radius)
        patch = None if patch is None else patch.cropped(eye)
        if patch is None:
            continue
        peak = rng.uniform(*kind.peak) * math.exp(rng.normal(0, 0.25))
        seen = visible_pixels(patch, peak, light, base, grey_per_unit, config)
        area = float(seen.sum())
        if area < 6 or area > 1.5 * missing + 60 or area < 0.6 * float((patch.shape >= 0.5 * patch.shape.max()).sum()):
            continue
        window = patch.window
        fresh = float((seen & ~mask[window]).sum())
        glow[window] += np.float32(peak) * patch.shape * patch.texture
        mask[window] |= seen
        covered += fresh
        middle = (patch.y0 + patch.shape.shape[0] / 2, patch.x0 + patch.shape.shape[1] / 2)
        diameter = 2 * math.sqrt(area / math.pi)
        lesions.append(
            {
                "kind": kind.name,
                "centre": [round(v, 1) for v in middle],
                "diameter_px": round(diameter, 1),
                "peak": round(peak, 3),
            }
        )
    return Leakage(glow, mask, lesions)


def visible_pixels(
    patch: Patch,
    peak: float,
    light: NDArray[np.float32],
    base: NDArray[np.float32],
    grey_per_unit: float,
    config: AngiogramConfig,
) -> NDArray[np.bool_]:
    """Return the pixels of the patch that the rule of the mask takes, (h, w) bool.

    patch: lies inside the image. peak: brightness of shape 1, in units of well lit background. light, base: (H, W)
    float32, see paint_leakage. grey_per_unit: grey levels of background 1 in light 1.
    """
    top = float(patch.shape.max())
    half = 0.5 * peak * top
    window = patch.window
    arriving = light[window]
    seen = patch.shape >= 0.5 * top
    local = cv2.blur(base[window], (2 * _LOCAL_PX + 1, 2 * _LOCAL_PX + 1))
    seen &= arriving >= config.min_light
    seen &= half * grey_per_unit * arriving >= config.min_increment_grey
    seen &= half >= config.min_contrast * local
    return seen


class _Sites:
    """Places where lesions may be: vessel pieces in the light, by distance from the centre of the image."""

    def __init__(self, rng: np.random.Generator, eye: Eye, tree: VesselTree, light: NDArray[np.float32]) -> None:
        self.rng = rng
        self.eye = eye
        self.tree = tree
        cells = np.round(tree.end).astype(np.int64)
        inside = (cells >= 0).all(axis=1) & (cells[:, 0] < eye.height) & (cells[:, 1] < eye.width)
        bright = np.zeros(len(cells), bool)
        bright[inside] = light[cells[inside, 0], cells[inside, 1]] > 0.2
        self.lit = np.flatnonzero(bright)
        away = np.hypot((tree.end[:, 0] / eye.height - 0.5) * 2, (tree.end[:, 1] / eye.width - 0.5) * 2)
        self.away = away
        # disease has a quadrant: lesions crowd about one or two directions
        self.favoured = rng.uniform(-math.pi, math.pi, int(rng.integers(1, 3)))
        self.crowding = rng.uniform(0, 2.5)

    def near_vessel(self, low: float, high: float, generation: int | None = None) -> int | None:
        """Index of a lit vessel piece whose distance from the centre (1 = edge of the image) lies in low..high."""
        lit = self.lit
        chosen = lit[(self.away[lit] >= low) & (self.away[lit] < high)]
        if generation is not None:
            chosen = chosen[self.tree.generation[chosen] == generation]
        if not len(chosen):
            return None
        ends = self.tree.end[chosen]
        angle = np.arctan2(ends[:, 0] - self.eye.height / 2, ends[:, 1] - self.eye.width / 2)
        pull = np.max(np.cos(angle[:, None] - self.favoured[None, :]), axis=1)
        weight = np.exp(self.crowding * pull)
        return int(self.rng.choice(chosen, p=weight / weight.sum()))


@dataclasses.dataclass(frozen=True)
class _Kind:
    """One kind of lesion: size law (native px), range of peak brightness, painter."""

    name: str
    median_px: float
    log_sigma: float
    peak: tuple[float, float]
    draw: Callable[[np.random.Generator, Eye, _Sites, float], Patch | None]
    macular: bool = False


def _at(
    low: float,
    high: float,
    paint: Callable[[np.random.Generator, Eye, tuple[float, float], float], Patch],
    generation: int | None = None,
    jitter: float = 0.5,
) -> Callable[[np.random.Generator, Eye, _Sites, float], Patch | None]:
    def draw(rng: np.random.Generator, eye: Eye, sites: _Sites, radius: float) -> Patch | None:
        piece = sites.near_vessel(low, high, generation)
        if piece is None:
            return None
        y, x = sites.tree.end[piece] + rng.normal(0, jitter, 2) * radius
        return paint(rng, eye, (float(y), float(x)), radius)

    return draw


def _perivascular(rng: np.random.Generator, eye: Eye, sites: _Sites, radius: float) -> Patch | None:
    piece = sites.near_vessel(0.2, 1.0, int(rng.integers(0, 2)))
    return None if piece is None else along_vessel(rng, eye, sites.tree, piece, radius)


def _at_disc(rng: np.random.Generator, eye: Eye, sites: _Sites, radius: float) -> Patch:
    del sites
    angle = rng.uniform(-math.pi, math.pi)
    reach = eye.disc_radius_px * rng.uniform(0.8, 1.6)
    return bud(rng, eye, (eye.disc[0] + reach * math.sin(angle), eye.disc[1] + reach * math.cos(angle)), radius)


def _petaloid(rng: np.random.Generator, eye: Eye, sites: _Sites, radius: float) -> Patch:
    del sites
    return petaloid(rng, eye, eye.fovea, radius)


def _diffuse(rng: np.random.Generator, eye: Eye, sites: _Sites, radius: float) -> Patch:
    del sites
    return diffuse_macular(rng, eye, eye.fovea, radius)


_KINDS = (
    _Kind("haze", 62, 0.75, (0.9, 2.6), _at(0.0, 1.0, haze)),
    _Kind("peripheral haze", 95, 0.65, (0.9, 2.6), _at(0.6, 1.1, haze)),
    _Kind("cluster", 110, 0.55, (0.9, 2.6), _at(0.3, 1.1, cluster)),
    _Kind("perivascular", 70, 0.7, (0.9, 2.6), _perivascular),
    _Kind("frond", 55, 0.45, (1.2, 4.0), _at(0.5, 1.1, frond, None, 0.3)),
    _Kind("peripheral frond", 65, 0.45, (1.2, 4.5), _at(0.7, 1.1, frond, 2, 0.3)),
    _Kind("microaneurysm", 17, 0.4, (1.2, 3.0), _at(0.0, 0.9, microaneurysm)),
    _Kind("petaloid", 130, 0.3, (0.9, 2.0), _petaloid, True),
    _Kind("diffuse macular", 190, 0.35, (0.8, 1.8), _diffuse, True),
    _Kind("bud at disc", 45, 0.45, (1.5, 3.5), _at_disc),
)
