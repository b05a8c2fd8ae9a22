"""Errors that only training raises."""

from __future__ import annotations

from fundusrt.errors import FundusRTError

__all__ = ["ResumeError", "TrainingDiverged"]


class TrainingDiverged(FundusRTError):
    """A loss or gradient that is not finite."""

    code = "training-diverged"


class ResumeError(FundusRTError):
    """A run folder that cannot be continued, or one that would be overwritten."""

    code = "resume-error"
