"""An SS-MAF checkpoint to its network, and to how its bundle sees an image: the one place that reads its configuration.

Training resizes the whole photograph to `data.lr`; a bundle frames the field of view in the same shape, so that a
photograph with another surround is seen at the same scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fundusrt.errors import InvalidInput, UsageError
from fundusrt.manifest import ExudatePostprocessSpec, FrameSpec, InputSpec
from fundusrt_export.checkpoint_weights import fill
from fundusrt_export.spec_settings import check_frame, choose
from fundusrt_training.checkpoints import load_checkpoint, read_metadata
from fundusrt_training.data.working_image import file_sha256
from fundusrt_training.models.ss_maf import SsMaf
from fundusrt_training.systems.resumable import part_of
from fundusrt_training.systems.ss_maf_config import SsMafConfig

__all__ = ["TrainedSsMaf", "load_ss_maf"]


@dataclass(frozen=True)
class TrainedSsMaf:
    """What a checkpoint holds.

    Attributes:
        network: the training network, eval mode, float32, on the CPU.
        input: colour, planes and normalisation.
        frame: size and interpolation of the network's input.
        postprocess: way back to the image, threshold.
        facts: what the checkpoint says about its training, for the model card.
        sha256: of the checkpoint file.
    """

    network: SsMaf
    input: InputSpec
    frame: FrameSpec
    postprocess: ExudatePostprocessSpec
    facts: dict[str, Any]
    sha256: str


def load_ss_maf(path: str | Path, settings: Sequence[str] = ()) -> TrainedSsMaf:
    """Load an SS-MAF checkpoint.

    Args:
        path: the checkpoint.
        settings: `NAME=VALUE` for fields of `FrameSpec` and `ExudatePostprocessSpec`: `frame.height_px=512`,
            `frame.outside=black`, `post.threshold=0.4`, `post.upsample=nearest`.

    Raises:
        InvalidInput: no FundusRT checkpoint, tensors that do not fit, or not finite.
        UsageError: a setting that is unknown or refused; a network trained on windows of a photograph, which fixes no
            size for the whole, without one.
    """
    state, raw = load_checkpoint(path)
    config = SsMafConfig.from_dict(raw)
    chosen = choose({"frame": _frame(config, settings), "post": ExudatePostprocessSpec()}, settings)
    frame: FrameSpec = chosen["frame"]
    check_frame(frame, config.net.divisor)
    weights = part_of(state, "network")
    if not weights:
        raise InvalidInput(
            path,
            got="no tensors of the part 'network'",
            expected="a checkpoint of `fundusrt train ss-maf`",
            fix="give the .safetensors file in a run's checkpoints/",
        )
    return TrainedSsMaf(
        fill(SsMaf(config.net), weights, str(path)),
        _input(config),
        frame,
        chosen["post"],
        read_metadata(path),
        file_sha256(Path(path)),
    )


def _input(config: SsMafConfig) -> InputSpec:
    mean, std = config.data.mean, config.data.std
    return InputSpec(colour=config.data.channels, channels=3, mean=(mean, mean, mean), std=(std, std, std))


def _frame(config: SsMafConfig, settings: Sequence[str]) -> FrameSpec:
    sizes = ("frame.height_px", "frame.width_px")
    missing = [size for size in sizes if not any(setting.startswith(f"{size}=") for setting in settings)]
    if config.data.window is not None and missing:
        raise UsageError(
            "frame",
            got="a network that was trained on windows of photographs",
            expected="the size of the whole frame in px",
            fix=f"add {' and '.join(f'--set {size}=...' for size in missing)}",
        )
    height, width = config.data.lr
    return FrameSpec(height_px=height, width_px=width, outside="kept")
