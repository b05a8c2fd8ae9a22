"""The graphs of one network: which target takes which file, and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fundusrt.manifest import VariantSpec
from fundusrt.manifest.parts import Target
from fundusrt_export.shared_weights import share_weights

__all__ = ["GraphVariants"]


@dataclass(frozen=True)
class GraphVariants:
    """The fp32 variants of a network.

    Targets with the same form take the same file. A network with one file keeps its weights in it; with several, they
    share `NAME.weights`.

    Attributes:
        network: its name in the manifest.
        forms: graph form in words, by target.
    """

    network: str
    forms: Mapping[Target, str]

    def file(self, target: Target) -> str:
        """Return the name of a target's ONNX file: `NAME.onnx` for the first form, else `NAME-TARGET.onnx`."""
        first = next(each for each, form in self.forms.items() if form == self.forms[target])
        return f"{self.network}.onnx" if first == next(iter(self.forms)) else f"{self.network}-{first}.onnx"

    def graphs(self) -> dict[str, Target]:
        """Return every ONNX file once, and a target that takes it."""
        files: dict[str, Target] = {}
        for target in self.forms:
            files.setdefault(self.file(target), target)
        return files

    @property
    def weights(self) -> str | None:
        """Name of the shared weights file; None with one graph."""
        return f"{self.network}.weights" if len(self.graphs()) > 1 else None

    def files(self) -> list[str]:
        """Return the names of all files of the network."""
        return [*self.graphs(), *([self.weights] if self.weights else [])]

    def specs(self) -> tuple[VariantSpec, ...]:
        """Return the entries of the manifest."""
        return tuple(
            VariantSpec(file=self.file(target), target=target, form=form, weights=self.weights)
            for target, form in self.forms.items()
        )

    def packed(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the files as they lie in a bundle.

        Args:
            contents: self-contained ONNX files, by the names of `graphs`.

        Raises:
            ExportError: the weights could not be shared.
        """
        if self.weights is None:
            return dict(contents)
        shared, weights = share_weights(contents, self.weights)
        return {**shared, self.weights: weights}
