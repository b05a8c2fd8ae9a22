"""A benchmark's document on disk."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from fundusrt.atomic import write_bytes, write_json
from fundusrt.bench.report import FORMAT_VERSION, BenchReport
from fundusrt.errors import InvalidInput, OutputError

__all__ = ["read_report", "write_report"]


def write_report(report: BenchReport, folder: Path, name: str) -> dict[str, Path]:
    """Write `<name>.json` and `<name>.png`, each whole or not at all.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    from fundusrt.bench.plot import plot
    from fundusrt.png import encode_png

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            folder, got=error.strerror or str(error), expected="a writable folder", fix="choose another output folder"
        ) from error
    files = {"report": folder / f"{name}.json", "plot": folder / f"{name}.png"}
    write_bytes(files["plot"], encode_png(plot(report), compression=9))
    write_json(files["report"], report.model_dump(mode="json"))
    return files


def read_report(path: Path) -> BenchReport:
    """Return the document of a file.

    Raises:
        InvalidInput: no such file, or not what `fundusrt bench` of this format version writes.
    """
    fix = "pass a file that `fundusrt bench` wrote"
    expected = f"a fundusrt-bench document, version {FORMAT_VERSION}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(path, got=error.strerror or str(error), expected=expected, fix=fix) from error
    except ValueError as error:
        raise InvalidInput(path, got=f"no JSON ({error})", expected=expected, fix=fix) from error
    try:
        return BenchReport.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        got = f"{'.'.join(map(str, first['loc'])) or 'the document'}: {first['msg']}"
        raise InvalidInput(path, got=got, expected=expected, fix=fix) from error
