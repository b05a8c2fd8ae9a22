"""The C interface through ctypes, as a Python program without FundusRT would use it."""

from __future__ import annotations

import ctypes as c
from pathlib import Path
from typing import Any

import numpy as np

ABI = 0x00010000


class Options(c.Structure):
    _fields_ = (
        ("size", c.c_size_t),
        ("backend", c.c_char_p),
        ("device", c.c_char_p),
        ("precision", c.c_char_p),
        ("threads", c.c_int32),
        ("engine_networks", c.POINTER(c.c_char_p)),
        ("engine_files", c.POINTER(c.c_char_p)),
        ("engine_count", c.c_int32),
    )


class Image(c.Structure):
    _fields_ = (
        ("size", c.c_size_t),
        ("data", c.c_void_p),
        ("height", c.c_int64),
        ("width", c.c_int64),
        ("channels", c.c_int32),
        ("bits", c.c_int32),
        ("stride_bytes", c.c_ssize_t),
        ("field", c.c_void_p),
        ("mm_per_px", c.c_double),
    )


class Lesion(c.Structure):
    _fields_ = (
        ("area_px", c.c_int64),
        ("area_mm2", c.c_double),
        ("box", c.c_int64 * 4),
        ("centroid", c.c_double * 2),
        ("mean_probability", c.c_double),
    )


class Failure(Exception):
    """A status that is not FRT_OK: its name and the last error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CLibrary:
    """Handles are plain addresses; whoever opens one closes it."""

    def __init__(self, library: Path) -> None:
        self.raw: Any = c.CDLL(str(library))
        for name in ("frt_status_name", "frt_last_error", "frt_bundle_name", "frt_bundle_sha256",
                     "frt_pipeline_provider", "frt_result_reason"):  # fmt: skip
            getattr(self.raw, name).restype = c.c_char_p
        for name in ("frt_bundle_name", "frt_bundle_sha256", "frt_bundle_close", "frt_pipeline_destroy",
                     "frt_pipeline_provider", "frt_result_free", "frt_result_gradable", "frt_result_reason",
                     "frt_result_lesion_count", "frt_result_timing_count"):  # fmt: skip
            getattr(self.raw, name).argtypes = [c.c_void_p]
        self.raw.frt_result_lesion_count.restype = self.raw.frt_result_timing_count.restype = c.c_int64
        self.check(self.raw.frt_check_abi(c.c_uint32(ABI)))

    def check(self, status: int) -> None:
        if status:
            raise Failure(self.raw.frt_status_name(status).decode(), self.raw.frt_last_error().decode())

    def open_bundle(self, path: Path) -> c.c_void_p:
        made = c.c_void_p()
        self.check(self.raw.frt_bundle_open(str(path).encode(), c.byref(made)))
        return made

    def create(self, bundle: c.c_void_p, **options: Any) -> c.c_void_p:
        made, given = c.c_void_p(), Options(size=c.sizeof(Options), **options)
        self.check(self.raw.frt_pipeline_create(bundle, c.byref(given), c.byref(made)))
        return made

    def run(self, pipeline: c.c_void_p, pixels: np.ndarray, **fields: Any) -> c.c_void_p:
        """`pixels` may have rows further apart than they are long."""
        made = c.c_void_p()
        image = Image(
            size=c.sizeof(Image),
            data=pixels.ctypes.data,
            height=pixels.shape[0],
            width=pixels.shape[1],
            channels=1 if pixels.ndim == 2 else pixels.shape[2],
            bits=8 * pixels.itemsize,
            stride_bytes=pixels.strides[0],
        )
        for name, value in fields.items():
            setattr(image, name, value)
        self.check(self.raw.frt_run(pipeline, c.byref(image), c.byref(made)))
        return made

    def array(self, result: c.c_void_p, kind: str) -> np.ndarray:
        """`mask`, `probability` or `image`, copied."""
        element = c.c_float if kind == "probability" else c.c_uint8
        data, height, width = c.POINTER(element)(), c.c_int64(), c.c_int64()
        get = getattr(self.raw, f"frt_result_{kind}")
        self.check(get(result, c.byref(data), c.byref(height), c.byref(width)))
        shape = (height.value, width.value, *([3] if kind == "image" else []))
        return np.ctypeslib.as_array(data, shape).copy()

    def lesions(self, result: c.c_void_p) -> list[Lesion]:
        made = [Lesion() for _ in range(self.raw.frt_result_lesion_count(result))]
        for index, lesion in enumerate(made):
            self.check(self.raw.frt_result_lesion(result, c.c_int64(index), c.byref(lesion)))
        return made

    def timings(self, result: c.c_void_p) -> dict[str, float]:
        made: dict[str, float] = {}
        for index in range(self.raw.frt_result_timing_count(result)):
            name, ms = c.c_char_p(), c.c_double()
            self.check(self.raw.frt_result_timing(result, c.c_int64(index), c.byref(name), c.byref(ms)))
            made[(name.value or b"").decode()] = ms.value
        return made
