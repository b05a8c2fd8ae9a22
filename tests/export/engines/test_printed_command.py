"""The command that an error names builds the engine that was missing, and nothing else."""

from __future__ import annotations

import shlex
from typing import Any

import click
import pytest

from fundusrt.backends import BACKENDS
from fundusrt.engine_identity import BatchRange, EngineOptions, build_command
from fundusrt.tensorrt_flavour import FLAVOURS
from fundusrt_export.engines.cli import build

SIZES = BatchRange(min=1, opt=4, max=8)
OTHER_THAN_DEFAULT: dict[str, Any] = {
    "tf32": True,
    "optimization_level": 0,
    "version_compatible": True,
    "exclude_lean_runtime": True,
    "hardware_compatibility": "same-compute-capability",
}


def parsed(command: str) -> dict[str, Any]:
    program, name, *arguments = shlex.split(command)
    assert (program, name) == ("fundusrt", "build")
    return build.make_context(name, arguments).params


def options_of(command: str) -> EngineOptions:
    params = parsed(command)
    return EngineOptions(**{name: params[name] for name in EngineOptions.model_fields})


def help_text() -> str:
    return " ".join(build.get_help(click.Context(build, terminal_width=200, max_content_width=200)).split())


def test_no_option_is_forgotten_here() -> None:
    assert set(OTHER_THAN_DEFAULT) == set(EngineOptions.model_fields)
    assert all(value != getattr(EngineOptions(), name) for name, value in OTHER_THAN_DEFAULT.items())


@pytest.mark.parametrize("names", [(), *((name,) for name in OTHER_THAN_DEFAULT), tuple(OTHER_THAN_DEFAULT)])
def test_the_options_come_back(names: tuple[str, ...]) -> None:
    options = EngineOptions(**{name: OTHER_THAN_DEFAULT[name] for name in names})
    assert options_of(build_command("leakage", "tensorrt", None, "fp16", SIZES, options)) == options


def test_the_rest_comes_back() -> None:
    command = build_command(
        "my bundle", "tensorrt-rtx", "sm89", "int8", SIZES, EngineOptions(tf32=True), variant="onnxruntime", cache="a b"
    )
    params = parsed(command)
    assert (params["bundle"], params["flavour"], params["gpus"]) == ("my bundle", "tensorrt-rtx", "sm89")
    assert (params["precision"], params["variant"], str(params["folder"])) == ("int8", "onnxruntime", "a b")
    assert BatchRange.parse(params["batch"]) == SIZES


def test_the_help_names_the_backends_that_there_are() -> None:
    assert set(FLAVOURS) <= set(BACKENDS)
    assert "which the backends of the same names load." in help_text()


def test_the_help_promises_no_other_version_than_the_cache_returns() -> None:
    assert "--version-compatible A kind of plan; kept for this version alone" in help_text()
