"""How many bytes went to the GPU and back."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Transfers"]


@dataclass
class Transfers:
    """Counts of one image. Copies within the device are none of them.

    Attributes:
        uploads: copies to the device.
        uploaded_bytes: their bytes.
        downloads: copies to the host.
        downloaded_bytes: their bytes.
    """

    uploads: int = 0
    uploaded_bytes: int = 0
    downloads: int = 0
    downloaded_bytes: int = 0

    def up(self, nbytes: int) -> None:
        """Count a copy to the device."""
        self.uploads += 1
        self.uploaded_bytes += nbytes

    def down(self, nbytes: int) -> None:
        """Count a copy to the host."""
        self.downloads += 1
        self.downloaded_bytes += nbytes
