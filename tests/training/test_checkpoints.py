"""Checkpoints: exact, described, and never anything else than safetensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fundusrt.errors import InvalidInput, OutputError
from fundusrt_training.checkpoints import load_checkpoint, read_metadata, save_checkpoint


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    state = {
        "large.w": torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        "small.w": torch.randn(5).bfloat16(),
        "step": torch.tensor(7.0),
    }
    save_checkpoint(
        path, state, {"unet": {"base": 8}, "prep": {"clahe": None}}, step=12, extra={"validation": {"dice": 0.5}}
    )
    again, config = load_checkpoint(path)
    assert config == {"unet": {"base": 8}, "prep": {"clahe": None}}
    assert set(again) == set(state)
    for name, value in state.items():
        assert torch.equal(again[name], value)
        assert again[name].dtype == value.dtype
    header = read_metadata(path)
    assert (header["system"], header["step"], header["validation"]) == ("cmwnet", 12, {"dice": 0.5})
    assert header["versions"]["torch"] == torch.__version__.split("+")[0] or "+" in header["versions"]["torch"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(InvalidInput, match=r"expected a checkpoint written by `fundusrt train`"):
        load_checkpoint(path)
    path.write_bytes(b"not a checkpoint at all")
    with pytest.raises(InvalidInput, match=r"a\.safetensors: got .*; expected a checkpoint written by"):
        load_checkpoint(path)
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(InvalidInput, match=r"got format None; expected fundusrt-checkpoint-1"):
        load_checkpoint(path)
    torch.save({"w": torch.zeros(1)}, path)
    with pytest.raises(InvalidInput, match="expected a checkpoint"):
        load_checkpoint(path)


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"w": torch.ones(2)}, {})
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path / "absent" / "a.safetensors", {"w": torch.ones(2)}, {})
    with pytest.raises(TypeError):
        save_checkpoint(path, {"w": torch.ones(2)}, {"bad": object()})
    assert load_checkpoint(path)[1] == {}
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_tensors_that_share_memory_are_kept_under_both_names(tmp_path: Path) -> None:
    shared = torch.arange(3.0)
    save_checkpoint(tmp_path / "a.safetensors", {"one": shared, "two": shared, "part": shared[1:]}, {})
    state, _ = load_checkpoint(tmp_path / "a.safetensors")
    assert {name: value.tolist() for name, value in state.items()} == {
        "one": [0, 1, 2],
        "two": [0, 1, 2],
        "part": [1, 2],
    }
