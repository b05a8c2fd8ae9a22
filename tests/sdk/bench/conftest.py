"""Fresh processes import this checkout, as this one does."""

from __future__ import annotations

from pathlib import Path

import pytest

import fundusrt


@pytest.fixture(autouse=True)
def same_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(fundusrt.__file__).parents[1]))
