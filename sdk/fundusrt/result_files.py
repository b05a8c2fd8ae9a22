"""A result on disk: pictures first, then the JSON that says they are complete."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt

from fundusrt.atomic import write_bytes, write_json
from fundusrt.errors import InvalidInput, OutputError
from fundusrt.png import encode_png
from fundusrt.provenance import Provenance, Quality

__all__ = ["Result", "result_paths"]

RESULT_FORMAT_VERSION = 1


class Result(ABC):
    """What a pipeline returns for one image.

    Attributes:
        FORMAT: what `*_result.json` calls itself.
        PICTURES: the kinds of pictures that `save` writes, in this order.
        timings_ms: milliseconds of each stage, in the order they ran.
        provenance: bundle, backend, device, precision and versions that made it.
        quality: whether the image could be graded.
    """

    FORMAT: ClassVar[str]
    PICTURES: ClassVar[tuple[str, ...]]

    timings_ms: dict[str, float]
    provenance: Provenance
    quality: Quality

    @abstractmethod
    def pictures(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return what `save` writes as PNG, by kind: uint8 or uint16, (H, W) or (H, W, 3) RGB."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return the fields of `*_result.json` that only this kind of result has: plain values, no arrays."""

    @abstractmethod
    def finding(self) -> str:
        """Return what became of a gradable image, in a few words."""

    def summary(self) -> str:
        """Return what became of the image and the time it took, in a line."""
        if not self.quality.gradable:
            return f"ungradable: {'; '.join(self.quality.reasons)}"
        return f"{self.finding()}, {sum(self.timings_ms.values()) / 1000.0:.1f} s"

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `*_result.json`: plain values, no arrays."""
        return {
            "format": self.FORMAT,
            "format_version": RESULT_FORMAT_VERSION,
            "quality": asdict(self.quality),
            **self.facts(),
            "timings_ms": {stage: round(ms, 3) for stage, ms in self.timings_ms.items()},
            "provenance": asdict(self.provenance),
        }

    def save(self, folder: str | Path, name: str | None = None) -> dict[str, Path]:
        """Write `<name>_<kind>.png` for each kind of `PICTURES` and, last, `<name>_result.json`.

        Each file appears whole or not at all; existing ones are replaced. A `_result.json` of an earlier run is removed
        first, so one that is there always belongs to the pictures beside it.

        Args:
            folder: made if it does not exist.
            name: default: the source's file name without its ending.

        Returns:
            What was written: each kind, and `result`.

        Raises:
            OutputError: the folder or a file cannot be written.
            InvalidInput: a name with a path separator.
        """
        folder = Path(folder)
        name = Path(self.provenance.source).stem if name is None else name
        if not name or name in (".", "..") or any(character in name for character in "/\\\0"):
            raise InvalidInput(
                "result name", got=repr(name), expected="a plain file name", fix="pass another name to save()"
            )
        written = result_paths(self.PICTURES, folder, name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            written["result"].unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                folder,
                got=error.strerror or str(error),
                expected="a writable folder",
                fix="choose another output folder",
            ) from error
        pictures = self.pictures()
        for kind in self.PICTURES:
            write_bytes(written[kind], encode_png(pictures[kind]))
        write_json(written["result"], self.to_dict())
        return written


def result_paths(pictures: tuple[str, ...], folder: Path, name: str) -> dict[str, Path]:
    """Return the files that `Result.save` writes for a name, by kind, in the order they are written."""
    files = {kind: folder / f"{name}_{kind}.png" for kind in pictures}
    return {**files, "result": folder / f"{name}_result.json"}
