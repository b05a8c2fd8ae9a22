"""CMWNet: wavelets rewritten, two branches, the stitched and fused mask measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, cast

from torch import nn

from fundusrt.backends.base import InferenceSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.image import FundusImage
from fundusrt.manifest import AnyManifest, CmwnetGolden, CmwnetManifest, FileRecord
from fundusrt.manifest.parts import Target
from fundusrt.pipeline import SegmentationPipeline
from fundusrt_export.any_size import export_any_size
from fundusrt_export.branch import FORMS, DeployedBranch, Form, deployed_form, uniform_noise
from fundusrt_export.checkpoint_networks import ROLES, TrainedSystem, load_trained
from fundusrt_export.errors import RewriteDeclined
from fundusrt_export.golden_vectors import golden_angiogram, stored_array, stored_map, stored_mask, stored_picture
from fundusrt_export.graph_variants import GraphVariants
from fundusrt_export.model_card import BundleInfo, BundleWords
from fundusrt_export.onnx_checks import HEIGHT, WIDTH
from fundusrt_export.onnx_export import OUTPUT, export_branch
from fundusrt_export.parity import (
    ParityInputs,
    equal_variants,
    require_same_network,
    tiled_to_stitched,
    torch_to_onnxruntime,
    wavelet_matrix,
    wavelet_rewrite,
)
from fundusrt_export.parity.inputs import Role
from fundusrt_export.parity.reference import ReferenceMaps, run_reference
from fundusrt_export.parity.refinement import refinement
from fundusrt_export.parity.task import mask_task
from fundusrt_export.systems.system_export import (
    IDENTITY,
    Measured,
    Progress,
    SystemExport,
    network_spec,
    stated_fields,
    summary,
)
from fundusrt_export.targets import NORMALISATIONS, normalised

__all__ = ["CmwnetExport"]

logger = logging.getLogger(__name__)

_GOLDEN = CmwnetGolden(
    image="golden/input.png",
    grid="golden/preprocessed.npz",
    whole="golden/whole.npz",
    large="golden/large.npz",
    small="golden/small.npz",
    mask="golden/mask.png",
)


class CmwnetExport(SystemExport):
    """Both branches of a CMWNet checkpoint.

    Args:
        trained: what the checkpoint holds.
        form: graph form of the networks.
    """

    words: ClassVar = BundleWords(
        label="leakage",
        description="Leakage areas in late-phase ultra-widefield fluorescein angiograms (CMWNet with UNet-Wavelet).",
        limits="Not evaluated on other cameras, other phases of the angiogram, or colour fundus photographs.",
    )

    def __init__(self, trained: TrainedSystem, form: Form) -> None:
        self.trained = trained
        self.facts, self.sha256 = trained.facts, trained.sha256
        self.form = form
        self._form: Form = form

    @classmethod
    def open(cls, path: str | Path, settings: Sequence[str], form: Form | None) -> CmwnetExport:
        """Load a checkpoint; `identity` where no form is chosen. Raises what `load_trained` raises."""
        return cls(load_trained(path, settings), form or "identity")

    def golden_image(self, path: str | Path | None) -> FundusImage:
        """Return a file, or a generated angiogram."""
        return golden_angiogram(path)

    def variants(self) -> list[GraphVariants]:
        """Return a graph for each target and branch: they differ in the group normalisation."""
        if self.any_size:
            return [GraphVariants(role, dict.fromkeys(self.targets, "identity, any size")) for role in ROLES]
        forms: dict[Target, str] = {
            target: f"{self._form}, {NORMALISATIONS[target]} normalisation" for target in self.targets
        }
        forms["onnxruntime"] = self._form
        return [GraphVariants(role, forms, self.reduced) for role in ROLES]

    def golden_names(self) -> list[str]:
        """Return the names of the golden files."""
        return list(_GOLDEN.model_dump().values())

    @property
    def sizes(self) -> dict[Role, int]:
        """Input side of each branch in px."""
        return {"large": self.trained.config.whole.size, "small": self.trained.config.tile.size}

    def manifest(self, info: BundleInfo, files: Mapping[str, FileRecord]) -> AnyManifest:
        """Return the manifest."""
        config, roles = self.trained.config, CmwnetManifest.network_roles
        networks = {
            variants.network: network_spec(
                roles[variants.network],
                variants,
                (config.unet.in_channels, *((HEIGHT, WIDTH) if self.any_size else (size, size))),
                OUTPUT,
                (1, *((HEIGHT, WIDTH) if self.any_size else (size, size))),
            )
            for variants, size in zip(self.variants(), self.sizes.values(), strict=True)
        }
        return CmwnetManifest.model_validate(
            {
                **stated_fields(info, files),
                "system": "cmwnet",
                "label": info.label,
                "preprocess": config.preprocess_spec(),
                "tile": config.tile_spec(),
                "whole_image": config.whole_spec(),
                "networks": networks,
                "postprocess": config.postprocess_spec(),
                "golden": _GOLDEN,
            }
        )

    def measure(
        self, images: Sequence[FundusImage], draft: AnyManifest, *, threads: int | None, progress: Progress
    ) -> Measured:
        """Rewrite the wavelet steps, export both branches, and compare up to the mask."""
        config, networks = self.trained.config, self.trained.networks
        manifest = cast(CmwnetManifest, draft)
        inputs = ParityInputs.of(images, config.preprocess_spec(), config.tile_spec(), config.whole_spec())

        progress(f"rewriting the wavelet steps ({self._form} form)")
        rewritten: dict[Role, Mapping[str, nn.Module]] = {role: self._forms(role, inputs) for role in ROLES}
        forms = {f"{role}, {form}": network for role in ROLES for form, network in rewritten[role].items()}
        rungs = [wavelet_matrix(forms, config.unet.wave, config.unet.dwt_mode)]
        progress(summary(rungs[-1]))
        rungs.append(wavelet_rewrite(networks, rewritten, inputs))
        progress(summary(rungs[-1]))

        progress("exporting to ONNX")
        contents: dict[str, bytes] = {}
        graphs: dict[str, dict[Target, bytes]] = {}
        for role, variants in zip(ROLES, self.variants(), strict=True):
            contents |= {file: self._to_onnx(role, target, progress) for file, target in variants.graphs().items()}
            graphs[role] = {target: contents[variants.file(target)] for target in self.targets}
        sessions: dict[str, InferenceSession] = {
            role: OnnxRuntimeSession(graphs[role]["onnxruntime"], source=role, threads=threads) for role in ROLES
        }
        exported = {role: DeployedBranch(rewritten[role][self._form]) for role in ROLES}
        rungs.append(torch_to_onnxruntime(exported, sessions, inputs))
        progress(summary(rungs[-1]))
        compared = {role: graphs[role]["onnxruntime"] for role in ROLES}
        require_same_network(rungs[-1], lambda: self._as_exported(rewritten), compared, inputs)
        if len(self.targets) > 1:
            rungs.append(equal_variants(graphs, inputs, threads=threads))
            progress(summary(rungs[-1]))

        progress("running the whole system in PyTorch")
        reference = [run_reference(networks["large"], networks["small"], image, manifest) for image in images]
        with SegmentationPipeline(manifest, sessions["large"], sessions["small"], dict(IDENTITY)) as pipeline:
            last = [tiled_to_stitched(pipeline, reference, images), refinement(pipeline, reference[0], images[0])]
            made = [(expected.mask, pipeline(image).mask) for expected, image in zip(reference, images, strict=True)]
        for rung in (*last, mask_task(made, images)):
            rungs.append(rung)
            progress(summary(rung))
        return Measured(contents, tuple(rungs), _golden_files(images[0], reference[0]))

    def card_rows(self) -> list[tuple[str, str]]:
        """Return system and network."""
        unet = self.facts["config"].get("unet", {})
        return [
            ("system", "CMWNet: two UNet-Wavelet branches (whole image, tiles), CGNR, fusion"),
            ("network", ", ".join(f"{key} {unet[key]}" for key in ("base", "levels", "wave") if key in unet)),
        ]

    def _to_onnx(self, role: Role, target: Target, progress: Progress) -> bytes:
        if self.any_size:
            progress(f" {role}, any size")
            return export_any_size(self.trained.networks[role], progress=progress)
        progress(f" {role}, {target}")
        return export_branch(
            self.trained.networks[role],
            form=self._form,
            normalisation=NORMALISATIONS[target],
            size_px=self.sizes[role],
            progress=progress,
        )

    def _as_exported(self, rewritten: Mapping[Role, Mapping[str, nn.Module]]) -> dict[str, nn.Module]:
        """Return what `export_branch` traces: the normalisation in two passes too."""
        networks = self.trained.networks
        noise = {role: uniform_noise(networks[role], self.sizes[role]) for role in ROLES}
        return {
            role: DeployedBranch(normalised(rewritten[role][self._form], "two_pass", noise[role])) for role in ROLES
        }

    def _forms(self, role: Role, inputs: ParityInputs) -> Mapping[str, nn.Module]:
        """Return every form the network has; the one that is exported is a must."""
        network = self.trained.networks[role]
        example = next(iter(inputs.tensors(role).values()))
        forms: dict[str, nn.Module] = {}
        for name in FORMS:
            try:
                forms[name] = deployed_form(network, name, example=example)
            except RewriteDeclined as error:
                if name == self._form:
                    raise
                logger.info("%s: no %s form (%s)", role, name, error)
        return forms


def _golden_files(image: FundusImage, maps: ReferenceMaps) -> dict[str, bytes]:
    return {
        _GOLDEN.image: stored_picture(image.pixels),
        _GOLDEN.grid: stored_array(maps.grid),
        _GOLDEN.whole: stored_array(maps.whole),
        _GOLDEN.large: stored_map(maps.p_whole),
        _GOLDEN.small: stored_map(maps.p_grid),
        _GOLDEN.mask: stored_mask(maps.mask),
    }
