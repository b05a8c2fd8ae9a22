"""The log of a TensorRT package, collected: TensorRT says in its log alone why something failed."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PackageLog", "collected_log", "package_log"]

_MOST_ERRORS = 12  # the first says why, the rest what failed in consequence
_KEPT_LINES = 100  # between collections, of warnings and errors


@dataclass
class PackageLog:
    """What a package wrote.

    Attributes:
        logger: what TensorRT's classes take as their logger.
        lines: severity name and message, in the order they came: all of a `collected_log` block, else the latest
            warnings and errors.
        collecting: whether such a block is open.
    """

    logger: Any = None
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    collecting: bool = False

    def add(self, severity: str, message: str) -> None:
        """Keep a message; called from the package's own threads."""
        if self.collecting:
            self.lines.append((severity, message))
        elif severity.endswith(("ERROR", "WARNING")):
            self.lines.append((severity, message))
            del self.lines[:-_KEPT_LINES]

    def errors(self) -> list[str]:
        """Return the messages of severity ERROR and INTERNAL_ERROR, each once."""
        found = dict.fromkeys(" ".join(text.split()) for severity, text in self.lines if severity.endswith("ERROR"))
        return list(found)[:_MOST_ERRORS]

    def reason(self) -> str:
        """Return the errors in a line."""
        return "; ".join(self.errors()) or "no reason in the log"

    def text(self) -> str:
        """Return all messages, a line each."""
        return "\n".join(message for _, message in self.lines)


# TensorRT keeps the first logger it is given for the whole process and ignores others, so there is one a package.
_LOGS: dict[type, PackageLog] = {}
_MAKING = threading.Lock()
_ONE_BLOCK = threading.RLock()


def package_log(trt: Any) -> PackageLog:
    """Return the process's one log of a package.

    Args:
        trt: the `tensorrt`, `tensorrt_rtx` or `tensorrt_lean` module.
    """
    with _MAKING:
        if trt.ILogger not in _LOGS:
            _LOGS[trt.ILogger] = _make(trt)
        return _LOGS[trt.ILogger]


@contextmanager
def collected_log(trt: Any) -> Generator[PackageLog]:
    """Collect the whole log of the block; one block of the process at a time, since they share the log.

    Args:
        trt: as of `package_log`.
    """
    with _ONE_BLOCK:
        log = package_log(trt)
        log.lines.clear()
        log.collecting = True
        try:
            yield log
        finally:
            log.collecting = False
            log.lines.clear()


def _make(trt: Any) -> PackageLog:
    made = PackageLog()

    class Collector(trt.ILogger):
        """A logger of the package's own base class, which exists once the package is imported."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Keep a message."""
            made.add(str(severity.name), message)

    made.logger = Collector()
    return made
