"""The record that vouches for a plan file: what it was built from and its hashes, sealed with the cache's key."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from fundusrt.engine_identity import EngineIdentity, canonical_json
from fundusrt.manifest.parts import Frozen, Sha256

__all__ = ["EngineRecord"]

HEADER_BYTES = 64  # `Runtime.engine_header_size`: the part of a plan that names its maker


class EngineRecord(Frozen, frozen=True):
    """The JSON file beside a plan.

    Attributes:
        identity: what the plan was built from and for.
        plan_file: name of the plan's file in the same folder.
        plan_bytes: its length.
        plan_sha256: its hash.
        plan_header: its first bytes, in hexadecimal.
        report: what the builder reported.
        mac: HMAC-SHA256 over all of the above with the cache's own key.
    """

    format: Literal["fundusrt-engine"] = "fundusrt-engine"
    format_version: Literal[1] = 1
    identity: EngineIdentity
    plan_file: Annotated[str, Field(pattern=r"^[0-9a-f]{32}-[0-9a-f]{16}\.plan$")]
    plan_bytes: Annotated[int, Field(ge=1)]
    plan_sha256: Sha256
    plan_header: str
    report: dict[str, Any]
    mac: Sha256

    @classmethod
    def seal(cls, identity: EngineIdentity, plan: bytes, report: dict[str, Any], secret: bytes) -> Self:
        """Return the record of a plan that was just built."""
        digest = hashlib.sha256(plan).hexdigest()
        unsealed = cls(
            identity=identity,
            plan_file=f"{identity.key()}-{digest[:16]}.plan",
            plan_bytes=len(plan),
            plan_sha256=digest,
            plan_header=plan[:HEADER_BYTES].hex(),
            report=report,
            mac="0" * 64,
        )
        return unsealed.model_copy(update={"mac": unsealed._mac(secret)})

    def is_sealed_by(self, secret: bytes) -> bool:
        """Whether the record was written by the holder of the key and not changed since."""
        return hmac.compare_digest(self.mac, self._mac(secret))

    def problem_with(self, plan: bytes) -> str | None:
        """Return what is wrong with the plan's bytes, None if they are the ones that were built."""
        if len(plan) != self.plan_bytes:
            return f"{len(plan)} bytes instead of {self.plan_bytes}"
        if plan[:HEADER_BYTES].hex() != self.plan_header:
            return "a header of another file"
        if hashlib.sha256(plan).hexdigest() != self.plan_sha256:
            return "content whose SHA-256 differs"
        return None

    def _mac(self, secret: bytes) -> str:
        content = canonical_json(self.model_dump(mode="json", exclude={"mac"}))
        return hmac.new(secret, content, hashlib.sha256).hexdigest()
