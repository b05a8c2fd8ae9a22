"""What another camera changes in a photograph: tone curve, colour balance, uneven light, sharpness, noise, reflexes.

Not in the papers, whose training and test images come from one camera: off by default.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt.errors import UsageError

__all__ = ["CameraAugmentation", "through_another_camera"]

Photograph = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CameraAugmentation:
    """Strengths; each change happens with probability `p`, to the same extent in all of a photograph.

    Args:
        p: probability of each change.
        gamma: g > 0 takes x in [0, 1] to x^v, v log-uniform in [1 / (1 + g), 1 + g].
        gain: each colour channel times a factor from U(1 - v, 1 + v); grey stays grey.
        light: a plane across the image from 1 - v to 1 + v, in a random direction, multiplies it.
        blur: largest sigma of a Gaussian blur, in px of a photograph whose longer side is 1000 px.
        noise: largest standard deviation of Gaussian noise, in grey levels of 255; the same in every channel.
        reflex: r > 0 brightens one to six soft patches by up to r grey levels, as the nerve fibres and the macula of a
            young eye shine: bright, but without the edge that an exudate has.
    """

    p: float = 0.0
    gamma: float = 0.5
    gain: float = 0.2
    light: float = 0.3
    blur: float = 2.0
    noise: float = 6.0
    reflex: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise UsageError("camera.p", got=self.p, expected="a probability, 0 to 1")
        for name, top in (
            ("gamma", 10.0),
            ("gain", 1.0),
            ("light", 1.0),
            ("blur", 100.0),
            ("noise", 255.0),
            ("reflex", 255.0),
        ):
            if not 0 <= getattr(self, name) <= top:
                raise UsageError(f"camera.{name}", got=getattr(self, name), expected=f"0 to {top:g}")


def through_another_camera(photograph: Photograph, config: CameraAugmentation, seed: tuple[int, ...]) -> Photograph:
    """Return the (H, W, C) uint8 photograph, RGB or one grey plane, as another camera might have taken it.

    `seed` decides all, and the same for a grey plane as for that plane three times.

    A pixel that is black stays black but for blur, so that what lies outside the field of view is not lit.
    """
    random = np.random.default_rng(seed)
    tone, balance, light, soft, noisy = (bool(value) for value in random.random(5) < config.p)
    amount, angle, sigma, level = random.uniform(-1.0, 1.0), *random.random(3)
    gains = random.uniform(-1.0, 1.0, 3)
    shining = np.random.default_rng((*seed, 1))  # of its own: the other draws do not depend on it
    shines = config.reflex > 0 and shining.random() < config.p
    if not (tone or balance or light or soft or noisy or shines):
        return photograph
    height, width = photograph.shape[:2]
    x = photograph.astype(np.float32) / np.float32(255.0)
    black = x.max(axis=2) == 0
    if shines:
        x += np.where(black, np.float32(0.0), _reflexes(height, width, config.reflex / 255.0, shining))[..., None]
    if tone:
        x **= np.float32((1.0 + config.gamma) ** amount)
    if balance and (x != x[..., :1]).any():  # grey has no colour to balance
        x *= (1.0 + config.gain * gains).astype(np.float32)
    if light:
        x *= (1.0 + config.light * _plane(height, width, 2.0 * np.pi * angle))[..., None]
    if soft:
        sigma = max(1e-3, config.blur * sigma * max(height, width) / 1000.0)
        x = np.asarray(cv2.GaussianBlur(x, (0, 0), sigma)).reshape(x.shape)
    if noisy:
        grain = random.standard_normal((height, width), np.float32) * np.float32(config.noise * level / 255.0)
        x += np.where(black, np.float32(0.0), grain)[..., None]
    return np.floor(x.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _reflexes(height: int, width: int, strongest: float, random: np.random.Generator) -> Plane:
    """Return (H, W) what one to six Gaussian patches add; sigmas of 1 to 5 % of the longer side, one up to 3 times."""
    side = max(height, width)
    y, x = np.ogrid[0.0:height:4, 0.0:width:4]  # smooth enough to be enlarged
    light = np.zeros((y.size, x.size), np.float32)
    for _ in range(int(random.integers(1, 7))):
        at_y, at_x = random.random(2) * (height, width)
        sigma, longer, angle = random.uniform(0.01, 0.05) * side, random.uniform(1.0, 3.0), random.uniform(0.0, np.pi)
        along = ((x - at_x) * np.cos(angle) + (y - at_y) * np.sin(angle)) / (longer * sigma)
        across = ((y - at_y) * np.cos(angle) - (x - at_x) * np.sin(angle)) / sigma
        light += strongest * random.random() * np.exp(-0.5 * (along**2 + across**2)).astype(np.float32)
    return np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _plane(height: int, width: int, angle: float) -> Plane:
    """Return a plane from -1 to 1 across the image's diagonal extent in the direction `angle` (radians)."""
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    return np.asarray((y + x) / (abs(np.sin(angle)) + abs(np.cos(angle))), np.float32)
