"""Errors that only training raises."""

from __future__ import annotations

from fundusrt.errors import FundusRTError

__all__ = ["ResumeError", "TrainingDiverged", "WorkerFailed"]


class TrainingDiverged(FundusRTError):
    """A loss or gradient that is not finite."""

    code = "training-diverged"


class ResumeError(FundusRTError):
    """A run folder that cannot be continued, or one that would be overwritten."""

    code = "resume-error"


class WorkerFailed(FundusRTError):
    """One of several training processes that stopped; the run can be continued from its last checkpoint."""

    code = "worker-failed"
