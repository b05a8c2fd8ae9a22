"""The log of a build, collected: TensorRT says in its log alone why a build failed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BuildLog", "collected_log"]

_MOST_ERRORS = 12  # the first says why, the rest what failed in consequence


@dataclass
class BuildLog:
    """What one build wrote.

    Attributes:
        logger: what TensorRT's classes take as their logger.
        lines: severity name and message, in the order they came.
    """

    logger: Any
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def errors(self) -> list[str]:
        """Return the messages of severity ERROR and INTERNAL_ERROR, each once."""
        found = dict.fromkeys(" ".join(text.split()) for severity, text in self.lines if severity.endswith("ERROR"))
        return list(found)[:_MOST_ERRORS]

    def text(self) -> str:
        """Return all messages, a line each."""
        return "\n".join(message for _, message in self.lines)


# TensorRT keeps the first logger it is given for the whole process and ignores others, so there is one a package.
_LOGGERS: dict[type, BuildLog] = {}
_ONE_BUILD = threading.RLock()


@contextmanager
def collected_log(trt: Any) -> Iterator[BuildLog]:
    """Collect the log of the block; one build of the process at a time, since they share the log.

    Args:
        trt: the `tensorrt` or `tensorrt_rtx` module.
    """
    with _ONE_BUILD:
        log = _LOGGERS.get(trt.ILogger)
        if log is None:
            log = _LOGGERS[trt.ILogger] = _make(trt)
        log.lines.clear()
        try:
            yield log
        finally:
            log.lines.clear()


def _make(trt: Any) -> BuildLog:
    lines: list[tuple[str, str]] = []

    class Collector(trt.ILogger):
        """A logger of the package's own base class, which exists once the package is imported."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Keep a message; called from the builder's own threads."""
            lines.append((str(severity.name), message))

    return BuildLog(Collector(), lines)
