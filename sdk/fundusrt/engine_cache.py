"""Compiled engines on this machine: found by what they were built from, built once, and never loaded on trust.

    <folder>/key                     32 random bytes that seal the records
    <folder>/<address>.json          the record: identity, length, hashes, report, HMAC
    <folder>/<address>-<hash>.plan   the plan
    <folder>/timing-*.cache          kernel timings of the builder, each with its HMAC
    <folder>/<address>.lock          held while the engine is built
    <folder>/write.lock              held while a file is written

The record is written last, so a plan without one does not exist. All is checked before a runtime sees a byte.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fundusrt.engine_folder import cache_secret, default_engine_folder, file_lock, private_folder
from fundusrt.engine_identity import EngineIdentity
from fundusrt.engine_record import EngineRecord
from fundusrt.errors import EngineMismatch
from fundusrt.private_file import read_private, refused, write_private
from fundusrt.sealed_file import SealedFile

__all__ = ["CachedEngine", "EngineCache"]

_MAX_RECORD_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class CachedEngine:
    """A plan that was checked.

    Attributes:
        record: what it was built from, and the builder's report.
        plan: the bytes to deserialise.
        path: its file.
        built: whether it was built just now.
        replaced: why an older file could not be used and was replaced; None if there was none.
    """

    record: EngineRecord
    plan: bytes
    path: Path
    built: bool = False
    replaced: str | None = None


class EngineCache:
    """The engines of one user.

    Args:
        folder: where they are; None for `default_engine_folder()`. Made if it is missing.

    Attributes:
        folder: where they are.
        is_default: whether that is `default_engine_folder()` without being named.

    Raises:
        BackendUnavailable: the folder does not belong to this user alone.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.is_default = folder is None
        self.folder = private_folder(default_engine_folder() if folder is None else Path(folder).absolute())
        self._secret = cache_secret(self.folder)

    def load(self, identity: EngineIdentity, *, fix: str) -> CachedEngine:
        """Return the engine with exactly this identity.

        Args:
            identity: what the caller needs.
            fix: the command that builds it, for the error.

        Raises:
            EngineMismatch: there is none (the message says how the nearest one differs), or its files are truncated,
                changed, not written by this cache, or renamed.
        """
        try:
            return self._load(identity, fix)
        except EngineMismatch as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            # A forced build may have replaced the record and deleted its plan between the two reads.
            return self._load(identity, fix)

    def _load(self, identity: EngineIdentity, fix: str) -> CachedEngine:
        path = self._record_path(identity)
        if not os.path.lexists(path):
            raise self._missing(identity, fix)
        record = self._read_record(path, fix)
        if record.identity != identity:
            raise refused(path, "; ".join(record.identity.differences(identity)), "the record it was named for", fix)
        plan_path = self.folder / record.plan_file
        plan = read_private(plan_path, record.plan_bytes, fix)
        problem = record.problem_with(plan)
        if problem is not None:
            raise refused(plan_path, problem, "the plan that was built", fix)
        return CachedEngine(record, plan, plan_path)

    def get_or_build(
        self,
        identity: EngineIdentity,
        build: Callable[[], tuple[bytes, dict[str, Any]]],
        *,
        force: bool = False,
    ) -> CachedEngine:
        """Return the engine, built if there is none that holds; of several processes one builds and the others wait.

        Args:
            identity: what is to be built.
            build: returns the plan and the report; called at most once.
            force: build even if there is one.

        Raises:
            OutputError: the plan cannot be written. Errors of `build` pass through; nothing is stored then.
        """
        replaced: str | None = None
        with file_lock(self.folder / f"{identity.key()}.lock"):
            if os.path.lexists(self._record_path(identity)) and not force:
                try:
                    return self.load(identity, fix="")
                except EngineMismatch as error:
                    replaced = str(error)
            plan, report = build()
            record = self._store(identity, plan, report)
        return CachedEngine(record, plan, self.folder / record.plan_file, built=True, replaced=replaced)

    def records(self) -> list[EngineRecord]:
        """Return every record that this cache sealed, by address; other files are passed over."""
        found: list[EngineRecord] = []
        for path in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(EngineMismatch):
                found.append(self._read_record(path, ""))
        return found

    def sealed_file(self, name: str) -> SealedFile:
        """Return a file of the folder that is sealed with the cache's key, such as a builder's kernel timings."""
        return SealedFile(self.folder / name, self._secret)

    def _store(self, identity: EngineIdentity, plan: bytes, report: dict[str, Any]) -> EngineRecord:
        record = EngineRecord.seal(identity, plan, report, self._secret)
        write_private(self.folder / record.plan_file, plan)
        write_private(self._record_path(identity), record.model_dump_json(indent=1).encode())
        for older in self.folder.glob(f"{identity.key()}-*.plan"):
            if older.name != record.plan_file:
                older.unlink(missing_ok=True)
        return record

    def _record_path(self, identity: EngineIdentity) -> Path:
        return self.folder / f"{identity.key()}.json"

    def _read_record(self, path: Path, fix: str) -> EngineRecord:
        try:
            record = EngineRecord.model_validate_json(read_private(path, _MAX_RECORD_BYTES, fix))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "content"
            raise refused(path, f"{place}: {first['msg']}", "a record of this version", fix) from error
        if not record.is_sealed_by(self._secret):
            raise refused(path, "a record that this cache did not write, or that was changed", "its own HMAC", fix)
        return record

    def _missing(self, identity: EngineIdentity, fix: str) -> EngineMismatch:
        """Say what there is instead: the engine of the same network that differs least."""
        near = [
            record.identity.differences(identity)
            for record in self.records()
            if (record.identity.bundle, record.identity.network) == (identity.bundle, identity.network)
        ]
        got = f"an engine with {'; '.join(min(near, key=len))}" if near else "none"
        return EngineMismatch(
            f"engine of {identity.bundle}, network {identity.network!r}",
            got=got,
            expected=f"one for {identity.flavour} {identity.version} on {identity.gpu}, {identity.precision}",
            fix=f"run `{fix}`",
        )
