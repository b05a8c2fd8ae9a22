"""What the caller's own functions raise during a build comes out of it, from either package."""

from __future__ import annotations

from typing import Any

import pytest

from fundusrt.tensorrt_flavour import TensorRT, import_tensorrt, tensorrt_of
from fundusrt_export.engines.build_progress import Silent
from fundusrt_export.engines.builder import BuiltEngine, build_engine
from tests.export.engines.fake_tensorrt import RELEASES, fake_tensorrt
from tests.export.engines.small_networks import ONE, network, spec

HOOKS = ("phase_start", "step_complete", "phase_finish")


@pytest.fixture(params=(*RELEASES, "tensorrt-rtx"))
def tensorrt(request: pytest.FixtureRequest) -> TensorRT:
    if request.param != "tensorrt-rtx":
        return tensorrt_of(fake_tensorrt(request.param), "tensorrt")
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    return import_tensorrt("tensorrt-rtx")


def built(tensorrt: TensorRT, **options: Any) -> BuiltEngine:
    capability = "sm86" if tensorrt.targets_capabilities else None
    return build_engine(tensorrt, network(), spec(), ONE, subject="net", capability=capability, **options)


class Failing(Silent):
    """Raises in one hook each time, with the number of the call."""

    def __init__(self, hook: str) -> None:
        self.calls = 0
        setattr(self, hook, self._fail)

    def _fail(self, *_: object) -> None:
        self.calls += 1
        raise LookupError(f"call {self.calls}")


@pytest.mark.parametrize("hook", HOOKS)
def test_the_first_exception_of_a_hook(tensorrt: TensorRT, hook: str) -> None:
    with pytest.raises(LookupError, match=r"^call 1$"):
        built(tensorrt, progress=Failing(hook))
    assert len(built(tensorrt).plan) > 100  # the next build is not affected


@pytest.mark.parametrize("kind", [LookupError, KeyboardInterrupt])
def test_an_exception_of_the_question_whether_to_stop(tensorrt: TensorRT, kind: type[BaseException]) -> None:
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        raise kind("asked")

    with pytest.raises(kind, match="asked"):
        built(tensorrt, cancelled=cancelled)
    assert len(asked) == 1
