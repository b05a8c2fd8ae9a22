"""A session that tells an observer of every call, and is otherwise the session it stands for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from fundusrt.backends.base import Array, InferenceSession
from fundusrt.image_pipeline import ImagePipeline
from fundusrt.manifest import TensorSpec

__all__ = ["ObservedSession", "Observer", "observed"]

Observer = Callable[[str, Mapping[str, Array]], None]
"""Takes the network's name and what it was fed, after its answer."""


class ObservedSession:
    """Passes every call on, then tells the observer.

    Args:
        session: what runs.
        network: its name in the manifest.
        observer: told after each call; what it costs is part of the caller's time.
    """

    def __init__(self, session: InferenceSession, network: str, observer: Observer) -> None:
        self._session, self._network, self._observer = session, network, observer

    @property
    def name(self) -> str:
        """What runs."""
        return self._session.name

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Input tensors by name."""
        return self._session.inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Output tensors by name."""
        return self._session.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; the caller owns the returned arrays."""
        answer = self._session.run(feeds)
        self._observer(self._network, feeds)
        return answer

    def close(self) -> None:
        """Free the network."""
        self._session.close()


@contextmanager
def observed(pipeline: ImagePipeline[Any, Any], observer: Observer) -> Generator[None]:
    """Observe every network call of a pipeline inside the block; one thread at a time."""
    kept = dict(pipeline.sessions)
    try:
        for network, session in kept.items():
            pipeline.sessions[network] = ObservedSession(session, network, observer)
        yield
    finally:
        pipeline.sessions.update(kept)
