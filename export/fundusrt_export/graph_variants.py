"""The graphs of one network: which target and precision takes which file, and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fundusrt.manifest import VariantSpec
from fundusrt.manifest.parts import Precision, Target
from fundusrt_export.precision.report import ReducedPrecision
from fundusrt_export.shared_weights import share_weights

__all__ = ["REDUCED_TARGETS", "GraphVariants"]


REDUCED_TARGETS: Mapping[ReducedPrecision, tuple[Target, ...]] = {
    # OpenVINO computes fp16 in float32 on the CPU: nothing is gained over its fp32 graph.
    "fp16": ("onnxruntime", "tensorrt"),
    # ONNX Runtime has no bf16 convolution on the CPU.
    "bf16": ("openvino", "tensorrt"),
    "int8": ("onnxruntime", "openvino", "tensorrt"),
}
"""Targets that a precision is offered for."""

_OWN_FILE: frozenset[tuple[Target, Precision]] = frozenset({("openvino", "int8")})
"""Never shared with another target: which layers stay in float32 is found in that runtime itself."""


@dataclass(frozen=True)
class GraphVariants:
    """The variants of a network.

    Targets with the same form take the same file. A network with one file keeps its weights in it; with several, they
    share `NAME.weights`.

    Attributes:
        network: its name in the manifest.
        forms: graph form in words, by target.
        reduced: precisions beside fp32; each is made of the target's fp32 graph.
    """

    network: str
    forms: Mapping[Target, str]
    reduced: tuple[ReducedPrecision, ...] = ()

    def file(self, target: Target, precision: Precision = "fp32") -> str:
        """Return the name of an ONNX file.

        `NAME.onnx` for the first form, else `NAME-TARGET.onnx`; with the precision before the dot if it is not fp32.
        """
        first = next(each for each, form in self.forms.items() if form == self.forms[target])
        if (target, precision) in _OWN_FILE:
            first = target
        stem = self.network if first == next(iter(self.forms)) else f"{self.network}-{first}"
        return f"{stem}.onnx" if precision == "fp32" else f"{stem}-{precision}.onnx"

    def graphs(self) -> dict[str, Target]:
        """Return every fp32 ONNX file once, and a target that takes it."""
        files: dict[str, Target] = {}
        for target in self.forms:
            files.setdefault(self.file(target), target)
        return files

    def reductions(self) -> dict[str, tuple[Target, ReducedPrecision]]:
        """Return every other ONNX file once, a target that takes it, and its precision."""
        files: dict[str, tuple[Target, ReducedPrecision]] = {}
        for precision in self.reduced:
            for target in self._targets(precision):
                files.setdefault(self.file(target, precision), (target, precision))
        return files

    @property
    def weights(self) -> str | None:
        """Name of the shared weights file; None with one graph."""
        return f"{self.network}.weights" if len(self.graphs()) + len(self.reductions()) > 1 else None

    def files(self) -> list[str]:
        """Return the names of all files of the network."""
        return [*self.graphs(), *self.reductions(), *([self.weights] if self.weights else [])]

    def specs(self) -> tuple[VariantSpec, ...]:
        """Return the entries of the manifest."""
        precisions: tuple[Precision, ...] = ("fp32", *self.reduced)
        return tuple(
            VariantSpec(
                file=self.file(target, precision),
                target=target,
                precision=precision,
                form=self.forms[target],
                weights=self.weights,
            )
            for precision in precisions
            for target in self._targets(precision)
        )

    def packed(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the files as they lie in a bundle.

        Args:
            contents: self-contained ONNX files, by the names of `graphs` and `reductions`; others are left out.

        Raises:
            ExportError: the weights could not be shared.
        """
        own = {name: contents[name] for name in (*self.graphs(), *self.reductions())}
        if self.weights is None:
            return own
        shared, weights = share_weights(own, self.weights)
        return {**shared, self.weights: weights}

    def _targets(self, precision: Precision) -> list[Target]:
        return [target for target in self.forms if precision == "fp32" or target in REDUCED_TARGETS[precision]]
