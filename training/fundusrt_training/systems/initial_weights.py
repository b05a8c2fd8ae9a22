"""Weights that a run begins with, `--init`."""

from __future__ import annotations

from fundusrt.errors import UsageError

__all__ = ["refuse_other_network"]


def refuse_other_network(before: object, now: object, path: str) -> None:
    """Refuse to begin with the weights of a network that is configured otherwise.

    Args:
        before: configuration of the network the weights are of.
        now: configuration of the network they are for.
        path: where it stands in the whole configuration, such as `net`.

    Raises:
        UsageError: they differ.
    """
    if before != now:
        raise UsageError(
            "--init",
            got=f"weights of another network: {before}",
            expected=str(now),
            fix=f"set the same {path}.* values",
        )
