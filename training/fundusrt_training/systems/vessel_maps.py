"""The vessels of good photographs as a trained vessel network sees them: MAGE-Net's references (paper, Losses)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput
from fundusrt_training.checkpoints import load_checkpoint, read_metadata
from fundusrt_training.data.cached_array import cached_array
from fundusrt_training.data.framed_eye import EyeFiles, FramedEye, frame_eye, to_planes
from fundusrt_training.data.working_image import file_sha256
from fundusrt_training.systems.vessel import VesselModule, vessel_probability
from fundusrt_training.systems.vessel_config import VesselConfig

__all__ = ["VesselMaps"]

# Raise when the maps change meaning.
VERSION = 1


class VesselMaps:
    """Finds vessels with a checkpoint of `fundusrt train vessel`, each photograph once.

    The network sees a photograph at the size it was trained for; its mask is then reduced to the size asked for.

    Args:
        checkpoint: the weights.
        threshold: probability from which on a pixel is a vessel.
        cache: folder of the cache.

    Raises:
        InvalidInput: not such a checkpoint.
    """

    def __init__(self, checkpoint: Path, threshold: float, cache: Path) -> None:
        header = read_metadata(checkpoint)
        if header["system"] != "vessel" or "training" in header:
            raise InvalidInput(
                checkpoint,
                got="a file to resume from" if "training" in header else f"system {header['system']}",
                expected="weights of system vessel",
                fix="give best.safetensors or last.safetensors of a run of `fundusrt train vessel`",
            )
        state, config = load_checkpoint(checkpoint)
        self.sha256 = file_sha256(checkpoint)
        self.threshold = threshold
        self.cache = cache
        self._module = VesselModule(VesselConfig.from_dict(config))
        self._module.load_weights(state)

    def find(self, files: Sequence[EyeFiles], side: int, progress: Callable[[int, int], None]) -> list[Path]:
        """Return an array file of each photograph: (side, side) uint8, the vessels' share of a pixel in 255ths."""
        found: list[Path] = []
        for each in files:
            eye = frame_eye(each, self._module.config.data.side, self.cache)
            identity = {
                "vessel_map": VERSION,
                "checkpoint": self.sha256,
                "threshold": self.threshold,
                "side": side,
                **eye.sha256,
            }
            found.append(cached_array(self.cache, identity, lambda eye=eye: self._map(eye, side)))
            progress(len(found), len(files))
        return found

    def _map(self, eye: FramedEye, side: int) -> npt.NDArray[np.uint8]:
        pixels, fov, _ = eye.read()
        p = vessel_probability(self._module.network, to_planes(pixels)[None])[0].numpy()
        mask = ((p >= np.float32(self.threshold)) & fov).astype(np.uint8) * np.uint8(255)
        interpolation = cv2.INTER_AREA if len(mask) >= side else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(mask, (side, side), interpolation=interpolation), np.uint8)
