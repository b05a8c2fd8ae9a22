"""`NAME=VALUE` settings for the parts of a manifest that may be chosen after training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from fundusrt.errors import UsageError
from fundusrt.manifest import FrameSpec

__all__ = ["check_frame", "choose"]


def choose(specs: Mapping[str, BaseModel], settings: Sequence[str]) -> dict[str, Any]:
    """Return the parts with the settings applied.

    Args:
        specs: parts by the first word of a setting's name; each keeps its type.
        settings: such as `post.threshold=0.4`; values are JSON or plain words.

    Raises:
        UsageError: a setting without `=`, an unknown name, or a value the part refuses.
    """
    chosen: dict[str, Any] = dict(specs)
    for setting in settings:
        name, equals, text = setting.partition("=")
        part, _, field = name.partition(".")
        known = [f"{each}.{own}" for each, spec in specs.items() for own in type(spec).model_fields]
        if not equals or name not in known:
            raise UsageError(
                f"--set {setting}",
                got=repr(name) if equals else "no =",
                expected=f"NAME=VALUE with one of {', '.join(known)}",
                fix="what was fixed by training needs another training run",
            )
        spec = chosen[part]
        try:
            chosen[part] = type(spec).model_validate({**spec.model_dump(), field: _value(text)})
        except ValidationError as error:
            raise UsageError(
                f"--set {setting}", got=repr(text), expected=error.errors()[0]["msg"], fix="see docs/bundle-format.md"
            ) from error
    return chosen


def check_frame(frame: FrameSpec, divisor: int, least: int = 1) -> None:
    """Raise UsageError for a frame whose sides are no multiples of `divisor` px, or below `least`."""
    if any(length % divisor or length < least for length in (frame.height_px, frame.width_px)):
        raise UsageError(
            "frame",
            got=f"{frame.height_px} x {frame.width_px} px",
            expected=f"multiples of {divisor}" + (f", at least {least}" if least > 1 else ""),
            fix="change frame.height_px and frame.width_px",
        )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
