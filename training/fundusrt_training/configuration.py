"""Frozen dataclasses to plain JSON data and back; unknown keys and wrong types are refused by name.

A configuration is nested frozen dataclasses with defaults. Its JSON keys are the field names, except where a field
names another one in its metadata (`key("global")`: a Python keyword). `apply_settings` applies `unet.base=16` and the
like from a command line.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fundusrt.errors import UsageError

__all__ = ["apply_settings", "from_dict", "key", "to_dict"]

Config = TypeVar("Config")


def key(name: str) -> dict[str, str]:
    """Return the field metadata that gives a field another key in JSON."""
    return {"key": name}


def to_dict(config: Any) -> dict[str, Any]:
    """Return nested plain data (dict, list, str, numbers, None) of a configuration."""
    return {_key_of(field): _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_dict(kind: type[Config], data: Any, subject: str = "") -> Config:
    """Build a configuration from plain data; missing keys take their defaults.

    Args:
        kind: the dataclass.
        data: nested plain data, as JSON gives it.
        subject: dotted path used in messages.

    Raises:
        UsageError: a key that does not exist, a value of another type, or a value the dataclass itself refuses.
    """
    if not isinstance(data, dict):
        raise UsageError(subject or "configuration", got=_show(data), expected="an object")
    fields = {_key_of(field): field for field in dataclasses.fields(typing.cast(Any, kind))}
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in data.items():
        path = f"{subject}.{name}" if subject else str(name)
        if name not in fields:
            close = difflib.get_close_matches(str(name), fields, n=1)
            raise UsageError(
                path,
                got="an unknown key",
                expected=", ".join(fields),
                fix=f"did you mean {close[0]}?" if close else None,
            )
        field = fields[name]
        values[field.name] = _convert(hints[field.name], value, path)
    return kind(**values)


def apply_settings(config: Config, settings: list[str]) -> Config:
    """Return the configuration with `a.b=value` settings applied; values are JSON, or plain words.

    Raises:
        UsageError: a setting without `=`, an unknown path, or a refused value.
    """
    data = to_dict(config)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise UsageError(f"--set {setting}", got=repr(setting), expected="NAME=VALUE, such as unet.base=16")
        node = data
        *parents, last = path.split(".")
        for depth, parent in enumerate(parents):
            child = node.get(parent)
            if child is None and parent in node:
                child = node[parent] = {}
            if not isinstance(child, dict):
                known = ", ".join(k for k, v in node.items() if isinstance(v, dict))
                raise UsageError(f"--set {path}", got=".".join(parents[: depth + 1]), expected=known)
            node = child
        node[last] = _parse(text)
    return from_dict(type(config), data)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"None": None, "True": True, "False": False}.get(text, text)


def _key_of(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("key", field.name))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in typing.cast("tuple[Any, ...]", value)]
    return value


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = get_args(hint)
        if value is None and type(None) in options:
            return None
        real = [option for option in options if option is not type(None)]
        return _convert(real[0], value, path)
    if origin is Literal:
        if value not in get_args(hint) or isinstance(value, bool) != any(isinstance(a, bool) for a in get_args(hint)):
            raise UsageError(path, got=_show(value), expected=", ".join(str(a) for a in get_args(hint)))
        return value
    if origin is tuple:
        return _convert_tuple(get_args(hint), value, path)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast("type[Any]", hint), value, path)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise UsageError(path, got=_show(value), expected=f"a value of type {hint.__name__}")
    return value


def _convert_tuple(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise UsageError(path, got=_show(value), expected="a list")
    items = list(typing.cast("list[Any]", value))
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(items)
    if len(items) != len(kinds):
        raise UsageError(path, got=f"{len(items)} values", expected=f"{len(kinds)} values")
    return tuple(_convert(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(kinds, items, strict=True)))


def _show(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (str, int, float, list, dict, bool, type(None))) else repr(value)
