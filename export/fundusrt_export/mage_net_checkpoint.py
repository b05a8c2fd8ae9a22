"""A MAGE-Net checkpoint to its network, and to how its bundle sees an image; nothing else reads its configuration.

Training cuts a photograph to its field of view, pads it to a square and resizes it to `data.side`, black outside: the
frame of a bundle. Where a mean teacher was trained, its weights are deployed unless `export.weights` names the student
(specification C5), as in validation and evaluation; a run without a teacher deploys the student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from fundusrt.errors import InvalidInput
from fundusrt.manifest import EnhancementPostprocessSpec, FrameSpec, InputSpec
from fundusrt_export.checkpoint_weights import fill
from fundusrt_export.spec_settings import check_frame, choose
from fundusrt_training.checkpoints import load_checkpoint, read_metadata
from fundusrt_training.data.working_image import file_sha256
from fundusrt_training.models.ag_net import MIN_SIDE_PX
from fundusrt_training.models.mage_net import MageNet
from fundusrt_training.systems.mage_net_config import MageNetConfig
from fundusrt_training.systems.resumable import part_of

__all__ = ["TrainedMageNet", "Weights", "load_mage_net"]

_DIVISOR = 16


class Weights(BaseModel, frozen=True, extra="forbid"):
    """Which network of a checkpoint is deployed."""

    weights: Literal["teacher", "student"]


@dataclass(frozen=True)
class TrainedMageNet:
    """What a checkpoint holds.

    Attributes:
        network: the chosen network, eval mode, float32, on the CPU.
        weights: `teacher` or `student`.
        input: RGB in [0, 1].
        frame: size and interpolation of the network's input.
        postprocess: way back to the image.
        facts: what the checkpoint says about its training, for the model card.
        sha256: of the checkpoint file.
    """

    network: MageNet
    weights: Literal["teacher", "student"]
    input: InputSpec
    frame: FrameSpec
    postprocess: EnhancementPostprocessSpec
    facts: dict[str, Any]
    sha256: str


def load_mage_net(path: str | Path, settings: Sequence[str] = ()) -> TrainedMageNet:
    """Load a MAGE-Net checkpoint.

    Args:
        path: the checkpoint.
        settings: `NAME=VALUE` for `export.weights` and the fields of `FrameSpec` and `EnhancementPostprocessSpec`:
            `export.weights=student`, `frame.height_px=512`, `post.to_native=direct`.

    Raises:
        InvalidInput: no FundusRT checkpoint, no weights of the chosen network, tensors that do not fit, or not finite.
        UsageError: a setting that is unknown or refused.
    """
    state, raw = load_checkpoint(path)
    config = MageNetConfig.from_dict(raw)
    parts = {
        "export": Weights(weights=config.deployed),
        "frame": FrameSpec(height_px=config.data.side, width_px=config.data.side),
        "post": EnhancementPostprocessSpec(),
    }
    chosen = choose(parts, settings)
    frame: FrameSpec = chosen["frame"]
    check_frame(frame, _DIVISOR, MIN_SIDE_PX)
    part = chosen["export"].weights
    found = part_of(state, part)
    if not found:
        other = "student" if part == "teacher" else "teacher"
        raise InvalidInput(
            path,
            got=f"no weights of the {part}",
            expected=f"tensors {part}.*, as export.weights asks",
            fix=f"export the other network with --set export.weights={other}, or train with teacher.enabled true",
        )
    return TrainedMageNet(
        fill(MageNet(config.net), found, f"{path}, {part}"),
        part,
        InputSpec(),
        frame,
        chosen["post"],
        read_metadata(path),
        file_sha256(Path(path)),
    )
