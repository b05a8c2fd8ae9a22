"""Generated ultra-widefield fluorescein angiograms with leakage masks: `generate(seed)`."""

from fundusrt_training.data.angiogram.config import AngiogramConfig
from fundusrt_training.data.angiogram.generate import Angiogram, generate

__all__ = ["Angiogram", "AngiogramConfig", "generate"]
