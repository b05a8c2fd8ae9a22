"""What a TensorRT-RTX plan says of itself, read from its bytes where no GPU could load it: names of inputs and outputs,
their types, and the shapes of the optimisation profile."""

from __future__ import annotations

import re
import struct

import pytest

from fundusrt.engine_identity import BatchRange
from fundusrt.tensorrt_flavour import import_tensorrt
from fundusrt_export.engines.builder import build_engine
from tests.export.engines.small_networks import SIDE, network, spec

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")

_TENSOR = re.compile(
    rb'tensor=\{ [^}]*dims=\{ ([^}]*) \}[^}]*name="([\w.]+)"[^}]*stride_order=\{[^}]*\}[^}]*\} type=(\w+) \}'
)


def plan(batch: str, precision: str = "fp32") -> bytes:
    sizes = BatchRange.parse(batch)
    free = "batch" if sizes.min != sizes.max else sizes.max
    return build_engine(
        import_tensorrt("tensorrt-rtx"),
        network(precision, free),
        spec(free),
        sizes,
        subject="net",
        capability="sm86",
    ).plan


def shape_at(content: bytes, batch: int, planes: int = 3) -> list[int]:
    """Return where a shape is stored, as four 64-bit integers behind their number."""
    stored = struct.pack("<5q", 4, batch, planes, SIDE, SIDE)
    return [match.start() for match in re.finditer(re.escape(stored), content)]


def tensors(content: bytes) -> dict[str, tuple[str, str]]:
    """Return dimensions and type by name, of what the compiler calls a tensor; its names end in a number."""
    found = _TENSOR.findall(content)
    return {name.decode().partition(".")[0]: (dims.decode(), kind.decode()) for dims, name, kind in found}


@pytest.mark.parametrize("name", ["image", "probability"])
def test_inputs_and_outputs_have_the_names_of_the_file(name: str) -> None:
    stored = struct.pack("<q", len(name)) + name.encode()
    assert stored in plan("1,4,8")
    assert stored not in plan("1,4,8").replace(name.encode(), b"x" * len(name))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_inputs_and_outputs_are_float32_whatever_is_between(precision: str) -> None:
    found = tensors(plan("2", precision))
    assert found["image"] == (f"2 3 {SIDE} {SIDE}", "float")
    assert found["probability"] == (f"2 1 {SIDE} {SIDE}", "float")
    kinds = {kind for _, kind in found.values()}
    assert ("half" in kinds) == (precision == "fp16")


def test_the_profile_has_the_batches_asked_for_in_order() -> None:
    content = plan("1,4,8")
    low, tuned, high = (shape_at(content, batch) for batch in (1, 4, 8))
    assert len(low) == len(tuned) == len(high) == 1
    assert low < tuned < high
    assert shape_at(content, 3) == shape_at(content, 16) == []


def test_another_profile_is_another_plan() -> None:
    content = plan("2,3,16")
    assert [len(shape_at(content, batch)) for batch in (1, 2, 3, 4, 8, 16)] == [0, 1, 1, 0, 0, 1]
