"""One angiogram from one seed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundusrt.errors import InvalidInput
from fundusrt_training.data.angiogram.anatomy import paint_background, paint_disc, paint_no_perfusion
from fundusrt_training.data.angiogram.config import AngiogramConfig
from fundusrt_training.data.angiogram.confusers import paint_confusers
from fundusrt_training.data.angiogram.eye import NATIVE_HEIGHT, NATIVE_WIDTH, draw_eye
from fundusrt_training.data.angiogram.field import draw_field
from fundusrt_training.data.angiogram.leakage import paint_leakage
from fundusrt_training.data.angiogram.occlusion import draw_occlusion
from fundusrt_training.data.angiogram.sensor import expose
from fundusrt_training.data.angiogram.vessel_paint import paint_vessels
from fundusrt_training.data.angiogram.vessels import grow_vessels

__all__ = ["MIN_SIDE_PX", "Angiogram", "generate"]

MIN_SIDE_PX = 96
_MAX_PIXELS = 100_000_000

# Each part has its own random numbers, so a change in one leaves the others as they were. Append, never reorder.
_STREAMS = (
    "eye",
    "field",
    "occlusion",
    "vessels",
    "background",
    "disc",
    "perfusion",
    "confusers",
    "leakage",
    "tone",
    "sensor",
)


@dataclasses.dataclass(frozen=True)
class Angiogram:
    """One generated angiogram.

    image: (H, W) uint8 grey. leakage: (H, W) bool, the ground truth. fov: (H, W) bool.
    parts: (H, W) bool masks by name: vessels, disc, lids, lashes, reflections, rim_glow, dots.
    facts: laterality, disc and fovea (y, x), leakage share of the field of view, lesions, grey_per_unit.
    """

    image: NDArray[np.uint8]
    leakage: NDArray[np.bool_]
    fov: NDArray[np.bool_]
    parts: dict[str, NDArray[np.bool_]]
    facts: dict[str, Any]
    seed: int
    config: AngiogramConfig


def generate(
    seed: int,
    *,
    height: int = NATIVE_HEIGHT,
    width: int = NATIVE_WIDTH,
    config: AngiogramConfig | None = None,
) -> Angiogram:
    """Generate the angiogram of a seed; the same arguments give the same bytes.

    seed: 0 or greater. height, width: size in px, each at least 96. Raises InvalidInput.
    """
    config = AngiogramConfig() if config is None else config
    _check(seed, height, width)
    spawned = np.random.SeedSequence(seed).spawn(len(_STREAMS))
    streams = {name: np.random.default_rng(child) for name, child in zip(_STREAMS, spawned, strict=True)}

    eye = draw_eye(streams["eye"], height, width)
    field = draw_field(streams["field"], eye)
    occlusion = draw_occlusion(streams["occlusion"], eye, config)
    light = field.light * occlusion.transmission
    tree = grow_vessels(streams["vessels"], eye)

    tone = streams["tone"]
    low, middle, high = config.background_grey
    grey_per_unit = float(np.clip(middle * math.exp(tone.normal(0, 0.45)), low, high))
    vessel_gain = min(max(float(tone.uniform(*config.vessel_grey)) / grey_per_unit, 3.0), 9.0)

    base = paint_background(streams["background"], eye)
    perfused = paint_no_perfusion(streams["perfusion"], eye, base)
    disc = paint_disc(streams["disc"], eye, base)
    looks_alike = paint_confusers(streams["confusers"], eye, tree, base, config)
    leakage = paint_leakage(streams["leakage"], eye, tree, field, light, base, grey_per_unit, config)

    painted = paint_vessels(streams["vessels"], tree, eye)
    vessels = painted > 20
    layer = painted.astype(np.float32)
    layer *= np.float32(vessel_gain / 255)
    fine = layer < np.float32(0.35 * vessel_gain)
    np.multiply(layer, perfused, out=layer, where=fine)
    del perfused, fine, painted
    # a leak veils what lies beneath it
    layer /= 1 + np.float32(0.5) * leakage.glow
    base += layer
    base += leakage.glow
    del layer
    base *= light
    np.multiply(occlusion.sheen, field.light > 0.02, out=occlusion.sheen)
    base += occlusion.sheen
    base *= np.float32(grey_per_unit)
    # bright signals saturate softly
    base *= np.float32(1 / 235)
    base /= (1 + base**4) ** np.float32(0.25)
    base *= np.float32(235)
    image = expose(streams["sensor"], base, field.fov, eye, config)

    mask = leakage.mask
    mask &= field.fov
    parts = {
        "vessels": vessels & field.fov,
        "disc": disc & field.fov,
        "lids": occlusion.lids & field.fov,
        "lashes": occlusion.lashes & field.fov,
        **{name: part & field.fov for name, part in looks_alike.items()},
    }
    facts = {
        "laterality": eye.laterality,
        "disc": [round(v, 1) for v in eye.disc],
        "fovea": [round(v, 1) for v in eye.fovea],
        "grey_per_unit": round(grey_per_unit, 2),
        "leakage_share": round(float(mask.sum()) / max(1, int(field.fov.sum())), 6),
        "lesions": leakage.lesions,
    }
    return Angiogram(image, mask, field.fov, parts, facts, seed, config)


def _check(seed: int, height: int, width: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InvalidInput("seed", got=repr(seed), expected="an integer of 0 or greater", fix="pass another seed")
    for name, value in (("height", height), ("width", width)):
        if value < MIN_SIDE_PX:
            raise InvalidInput(
                name,
                got=f"{value} px",
                expected=f"at least {MIN_SIDE_PX} px",
                fix="generate a larger image and shrink it",
            )
    if height * width > _MAX_PIXELS:
        raise InvalidInput(
            "height x width",
            got=f"{height} x {width}",
            expected=f"at most {_MAX_PIXELS} pixels",
            fix="generate smaller images",
        )
