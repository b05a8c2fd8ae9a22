"""A file of the engine cache that carries its own seal: content that is given to a native library without a record."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from fundusrt.private_file import read_private, refused, write_private

__all__ = ["SealedFile"]

_SEAL_BYTES = 32
_MAX_BYTES = 1024 * 1024 * 1024


@dataclass(frozen=True)
class SealedFile:
    """HMAC-SHA256 of name and content with the cache's key, and the content.

    Attributes:
        path: the file.
        secret: the cache's key.
    """

    path: Path
    secret: bytes = field(repr=False)

    def read(self) -> bytes | None:
        """Return the content; None if there is no such file.

        Raises:
            EngineMismatch: a link, no regular file, changed, under another name, or not written by this cache.
        """
        if not os.path.lexists(self.path):
            return None
        sealed = read_private(self.path, _MAX_BYTES, "")
        content = sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(sealed[:_SEAL_BYTES], self._seal(content)):
            raise refused(self.path, "a file that this cache did not write, or that was changed", "its own HMAC", "")
        return content

    def write(self, content: bytes) -> None:
        """Replace the content.

        Raises:
            OutputError: it cannot be written.
        """
        write_private(self.path, self._seal(content) + content)

    def _seal(self, content: bytes) -> bytes:
        return hmac.new(self.secret, self.path.name.encode() + b"\0" + content, hashlib.sha256).digest()
