"""Whether every timed call of an image gave the same answer."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from fundusrt.bench.report import Check, Scope

__all__ = ["AnswerBook"]


class AnswerBook:
    """Remembers a hash of the first answer to each image, and counts the others that are not the same to the bit.

    `device` and `end_to_end` ask the same of the same pixels, so they share a page.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, int], str] = {}
        self._calls: Counter[tuple[str, int]] = Counter()
        self._others: Counter[tuple[str, int]] = Counter()

    def note(self, scope: Scope, image: int, answer: Sequence[npt.NDArray[Any]]) -> None:
        """Take one answer."""
        page = ("network" if scope == "network" else "result", image)
        found = _digest(answer)
        self._calls[page] += 1
        if self._first.setdefault(page, found) != found:
            self._others[page] += 1

    def gave(self, image: int, answer: Sequence[npt.NDArray[Any]]) -> bool | None:
        """Return whether the first timed answer to an image was this one; None if none was timed."""
        first = self._first.get(("result", image))
        return None if first is None else first == _digest(answer)

    def checks(self, names: Sequence[str]) -> list[Check]:
        """Return a check for each image and page, by the images' names."""
        return [
            Check(
                what=f"{kind} of {names[image]}, every timed call",
                got=f"{self._others[kind, image]} of {calls} answers differ from the first",
                expected="the same bytes in every call",
                holds=self._others[kind, image] == 0,
            )
            for (kind, image), calls in sorted(self._calls.items())
        ]


def _digest(answer: Sequence[npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in answer:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
