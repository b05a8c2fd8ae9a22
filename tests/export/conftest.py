"""What the tests of the packaging share: each network exported once, a checkpoint, and the bundle made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import fundusrt_export.systems.cmwnet as cmwnet
from fundusrt_export.branch import Form
from fundusrt_export.onnx_export import export_branch
from fundusrt_export.package import export_bundle
from fundusrt_export.targets import Normalisation
from fundusrt_training.models.unet_wavelet import UNetWavelet
from tests.export.small_system import INFO, angiogram, checkpoint, write_png

_EXPORTED: dict[tuple[str, str, str, str, int], bytes] = {}


@contextmanager
def remembered_exports() -> Generator[None]:
    """Export each network once a session; the exporter takes seconds, and gives the same bytes again."""

    def remembered(network: UNetWavelet, *, form: Form, normalisation: Normalisation, size_px: int, **_: Any) -> bytes:
        weights = b"".join(value.numpy().tobytes() for value in network.state_dict().values())
        key = (hashlib.sha256(weights).hexdigest(), repr(network.config), form, normalisation, size_px)
        if key not in _EXPORTED:
            _EXPORTED[key] = export_branch(network, form=form, normalisation=normalisation, size_px=size_px)
        return _EXPORTED[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cmwnet, "export_branch", remembered)
        yield


@pytest.fixture(scope="module")
def one_export_a_network() -> Generator[None]:
    """For the module: a network that was exported is not exported again."""
    with remembered_exports():
        yield


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("material")
    return {
        "checkpoint": checkpoint(folder / "last.safetensors", wavelet_form="haar_identity"),
        "golden": write_png(folder / "golden.png", angiogram()),
        "patient": write_png(folder / "DOE_JANE_1950.png", angiogram(90, 130, seed=1)),
    }


@pytest.fixture(scope="session")
def bundle(material: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `material`. Not to be changed."""
    out = tmp_path_factory.mktemp("bundle") / "tiny"
    with remembered_exports():
        export_bundle(
            material["checkpoint"],
            out,
            info=INFO,
            golden=material["golden"],
            parity_images=[material["patient"]],
            threads=1,
        )
    return out
