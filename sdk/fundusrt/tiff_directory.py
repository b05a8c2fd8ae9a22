"""The tag directory that TIFF files and EXIF blocks are made of.

Sources: TIFF 6.0 section 2; BigTIFF (libtiff, 2011); EXIF 2.32 section 4.6.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["ORIENTATION_TAG", "TiffDirectory", "exif_orientation", "read_directory"]

ORIENTATION_TAG = 274

_INTEGER_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@dataclass(frozen=True, slots=True)
class TiffDirectory:
    """One directory of tags.

    Attributes:
        data: the bytes that positions refer to.
        order: byte order, "<" or ">".
        entries: by tag: type, number of values, position of the first value.
        next_position: position of the next directory, 0 after the last.
    """

    data: bytes
    order: str
    entries: dict[int, tuple[int, int, int]]
    next_position: int

    def values(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the unsigned integers of a tag, or the default where the tag is absent.

        Raises:
            struct.error: other types, or values beyond the end of the data.
        """
        if tag not in self.entries:
            return default
        kind, count, position = self.entries[tag]
        if kind not in _INTEGER_CODES or not 0 < count <= len(self.data) or position > len(self.data):
            raise struct.error(f"tag {tag} has {count} values of type {kind}")
        return struct.unpack_from(f"{self.order}{count}{_INTEGER_CODES[kind]}", self.data, position)

    def value(self, tag: int, default: int) -> int:
        """Return the first of `values`."""
        return self.values(tag, (default,))[0]

    def encoded(self, tag: int, value: int) -> tuple[int, bytes]:
        """Return the position of a tag's first value and the bytes that would make it another value."""
        kind, _, position = self.entries[tag]
        return position, struct.pack(self.order + _INTEGER_CODES[kind], value)


def read_directory(data: bytes, position: int | None = None) -> TiffDirectory:
    """Read the directory at a position.

    Args:
        data: a TIFF or BigTIFF file, or the TIFF block of EXIF data.
        position: where the directory begins; the first directory where None.

    Raises:
        struct.error: the directory does not lie inside the data, or the data do not begin like a TIFF file.
    """
    if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        raise struct.error("not a TIFF block")
    order = "<" if data[:2] == b"II" else ">"
    big = 0x2B in data[2:4]
    word = "Q" if big else "I"
    word_bytes, head_bytes = (8, 12) if big else (4, 8)
    start: int = struct.unpack_from(order + word, data, 8 if big else 4)[0] if position is None else position
    if start > len(data):
        raise struct.error("the directory begins after the data")
    count: int = struct.unpack_from(order + ("Q" if big else "H"), data, start)[0]
    start += 8 if big else 2
    if start + count * (head_bytes + word_bytes) + word_bytes > len(data):
        raise struct.error("the directory ends after the data")
    entries: dict[int, tuple[int, int, int]] = {}
    for place in range(start, start + count * (head_bytes + word_bytes), head_bytes + word_bytes):
        tag, kind, length = struct.unpack_from(f"{order}HH{word}", data, place)
        value_place = place + head_bytes
        if length * _VALUE_BYTES.get(kind, 1) > word_bytes:  # too long to stand in the entry itself
            (value_place,) = struct.unpack_from(order + word, data, value_place)
        entries.setdefault(tag, (kind, length, value_place))
    (next_position,) = struct.unpack_from(order + word, data, start + count * (head_bytes + word_bytes))
    return TiffDirectory(data, order, entries, next_position)


def exif_orientation(block: bytes) -> int:
    """Read the orientation from the TIFF block of EXIF data.

    Returns:
        1 to 8; 1 (upright) where it is absent, malformed or out of range, as viewers do.
    """
    try:
        value = read_directory(block).value(ORIENTATION_TAG, 1)
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1
