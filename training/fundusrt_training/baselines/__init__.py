"""Methods without learning that MAGE-Net's paper compares with."""

from fundusrt_training.baselines.clahe import enhance_by_clahe
from fundusrt_training.baselines.dark_channel import enhance_by_dark_channel

__all__ = ["enhance_by_clahe", "enhance_by_dark_channel"]
