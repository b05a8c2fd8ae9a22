"""What comes out, beside the CPU: the same mask from the same probabilities, and every rung that `verify` measures."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.gpu_check.networks import Networks
from fundusrt.backends.device_session import DeviceSession
from fundusrt.bundle import Bundle
from fundusrt.cuda.driver import CudaDevice
from fundusrt.cuda.segmentation import CudaSegmentationPipeline
from fundusrt.golden import golden_image
from fundusrt.image import FundusImage
from fundusrt.loading import load
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.systems import system_of

__all__ = ["IDENTITY", "eyes", "golden_rungs", "masks_agree"]

NEAR = 1e-4
"""What builds of OpenCV differ by among themselves when they up-sample; on one machine mostly nothing."""

IDENTITY: dict[str, Any] = {
    "bundle": "check",
    "bundle_version": "0",
    "bundle_sha256": "0" * 64,
    "backend": "check",
    "provider": "check",
    "device": "cuda",
    "precision": "fp32",
    "versions": {},
}


def eyes(eye: FundusImage) -> dict[str, FundusImage]:
    """Return an image as it is, and smaller forms of it that take other ways through the stages."""
    grey = eye.pixels if eye.pixels.ndim == 2 else eye.pixels[..., 1]
    height, width = grey.shape
    cut = tuple(slice(length // 4, length // 4 + (length // 3 | 1)) for length in (height, width))
    small, fov = np.ascontiguousarray(grey[cut]), np.ascontiguousarray(eye.fov[cut])
    fov = fov if fov.any() else np.ones_like(fov)
    colour = np.stack([small, 255 - small, small // 2], axis=2)
    deep = small.astype(np.uint16) * 257 + (small.astype(np.uint16) * 7) % 129
    return {
        "as it is": eye,
        "odd sides": FundusImage(small, fov, "odd"),
        "no surround": FundusImage(small, np.ones_like(fov), "full"),
        "equal channels": FundusImage(np.repeat(small[..., None], 3, 2), fov, "equal"),
        "colour": FundusImage(colour, fov, "colour"),
        "16 bit": FundusImage(deep, fov, "deep"),
    }


def masks_agree(device: CudaDevice, networks: Networks, model: str, eye: FundusImage, batch: int) -> dict[str, Any]:
    """Compare the device's pipeline with the CPU's stages over the same networks on the GPU.

    Nothing should differ; what differs by no more than OpenCV's builds do, or is near the threshold, is only shown.

    For the image as it is also with the whole pipeline on ONNX Runtime's CPU provider: there the networks differ too.
    """
    bundle = Bundle.open(model)
    manifest: Any = bundle.manifest
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    with CudaSegmentationPipeline(manifest, networks.runtime(device, bundle, batch), dict(IDENTITY)) as on_gpu:
        large, small = DeviceSession(on_gpu.runtime, "large"), DeviceSession(on_gpu.runtime, "small")
        on_cpu = SegmentationPipeline(manifest, large, small, dict(IDENTITY), batch=batch)
        warnings: tuple[str, ...] = ()
        for name, each in eyes(eye).items():
            made, expected, alone = on_gpu(each), on_cpu(each), on_gpu.mask(each)
            warnings = made.provenance.warnings
            differs = made.mask != expected.mask
            off = int(np.count_nonzero(differs))
            unsure = np.abs(expected.probability - np.float32(manifest.postprocess.threshold)) <= NEAR
            wrong = int(np.count_nonzero(differs & ~unsure))
            furthest = float(np.abs(made.probability - expected.probability).max())
            rows.append(
                {
                    "image": name,
                    "px": f"{each.height} x {each.width}",
                    "mask px": int(expected.mask.sum()),
                    "mask px off": off,
                    "of them not near the threshold": wrong,
                    "probability max off": furthest,
                    "lesions equal": made.lesions == expected.lesions,
                }
            )
            if wrong or not furthest <= NEAR or not np.array_equal(alone, made.mask):
                failed.append(
                    f"{name}: {wrong} mask pixels not near the threshold, probability {furthest:g} (limit {NEAR:g}), "
                    f"mask() {np.sum(alone != made.mask)}"
                )
            if name == "as it is":
                moved = made.provenance.gpu
                whole = made
    figures: dict[str, Any] = {"failed": failed, "same probabilities": rows, "moved": vars(moved), "warnings": warnings}
    with load(model) as reference:
        certified = reference(eye)
    flipped = float(np.mean(certified.mask != whole.mask))
    near = float(np.abs(certified.probability - whole.probability).max())
    figures["beside onnxruntime on the CPU"] = {"mask px flipped, share": flipped, "probability max off": near}
    if flipped > 1e-4:
        failed.append(f"{flipped:.2e} of the mask's pixels differ from ONNX Runtime on the CPU, limit 1e-4")
    return figures


def golden_rungs(device: CudaDevice, networks: Networks, models: tuple[str, ...], batch: int) -> dict[str, Any]:
    """Measure the rungs of each bundle's golden vectors, with the limits of the ladder."""
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    for model in models:
        bundle = Bundle.open(model)
        system = system_of(bundle.manifest)
        pipeline = system.cuda_pipeline(bundle.manifest, networks.runtime(device, bundle, batch), dict(IDENTITY))
        with pipeline:
            for comparison in system.compare(pipeline, bundle, golden_image(bundle)):
                for figure in comparison.figures:
                    each = figure.measurement
                    rows.append(
                        {
                            "bundle": bundle.manifest.name,
                            "rung": comparison.name,
                            "metric": each.metric,
                            "value": each.value,
                            "limit": each.limit,
                            "holds": each.holds,
                        }
                    )
                    if not each.holds:
                        failed.append(f"{bundle.manifest.name}, {comparison.name}: {each.metric} {each.value:g}")
    return {"failed": failed, "rungs": rows}
