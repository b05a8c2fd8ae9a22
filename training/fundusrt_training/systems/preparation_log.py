"""Says in the log how far the preparation of images has come."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["log_preparation"]

logger = logging.getLogger(__name__)

_EVERY = 50


def log_preparation(part: str) -> Callable[[int, int], None]:
    """Return a function of the images done and their count that logs every 50th, and the last."""

    def report(done: int, count: int) -> None:
        if done % _EVERY == 0 or done == count:
            logger.info("%s images prepared: %d of %d", part, done, count)

    return report
