"""How a good photograph becomes a bad one: every draw is recorded, so that the image can be made again."""

from fundusrt_training.data.degradation.degrade import KINDS, degrade, degrade_8_bit, draw_degradation
from fundusrt_training.data.degradation.record import Degradation, DegradationConfig

__all__ = ["KINDS", "Degradation", "DegradationConfig", "degrade", "degrade_8_bit", "draw_degradation"]
