"""Exudate data sets as they are distributed, one reader a file; `read_exudates` finds the one that fits a folder."""

from fundusrt_training.data.exudates.case import ExudateCase, Part
from fundusrt_training.data.exudates.eophtha import read_eophtha
from fundusrt_training.data.exudates.hei_med import read_hei_med
from fundusrt_training.data.exudates.idrid import read_idrid
from fundusrt_training.data.exudates.lesion_folder import read_lesion_folder
from fundusrt_training.data.exudates.recognise import read_exudates

__all__ = [
    "ExudateCase",
    "Part",
    "read_eophtha",
    "read_exudates",
    "read_hei_med",
    "read_idrid",
    "read_lesion_folder",
]
