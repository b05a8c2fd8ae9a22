"""Vessel data sets as they are distributed, one reader a file; `read_vessels` finds the one that fits a folder."""

from fundusrt_training.data.vessels.drive import read_drive
from fundusrt_training.data.vessels.hrf import read_hrf
from fundusrt_training.data.vessels.recognise import Part, read_vessels

__all__ = ["Part", "read_drive", "read_hrf", "read_vessels"]
