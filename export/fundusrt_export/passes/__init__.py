"""Graph passes: one exact rewrite of an ONNX graph a file, each a function `(model) -> number of changes`, in place.

A pass's docstring lists its legal cases, numbered, and the case in which it declines (leaves the node as it is). Most
move or rename values, and no result changes by a bit; the two that compute otherwise, `binary_softmax` and
`exact_instance_norm`, say so, and are equal up to float32 rounding.

constant_reshape.py    shapes that are computed though they are known
constant_resize.py     sizes of a resize that are computed though they are known
merge_axes.py          halves of an image without 5-D tensors
binary_softmax.py      two classes without Softmax and Slice
strip_metadata.py      where and by whom a graph was traced
stable_names.py        names that depend on the graph alone
tiny_bias.py           a bias where there is none, for OpenVINO's int8 alone
exact_instance_norm.py InstanceNormalization by its definition, for measuring only
graph_statistics.py    what a graph is made of
"""

from __future__ import annotations

from fundusrt_export.passes.binary_softmax import binary_softmax
from fundusrt_export.passes.constant_reshape import constant_reshape
from fundusrt_export.passes.constant_resize import constant_resize
from fundusrt_export.passes.exact_instance_norm import exact_instance_norm
from fundusrt_export.passes.graph_statistics import GraphStatistics, graph_statistics
from fundusrt_export.passes.merge_axes import merge_axes
from fundusrt_export.passes.stable_names import stable_names
from fundusrt_export.passes.strip_metadata import strip_metadata
from fundusrt_export.passes.tiny_bias import tiny_bias

__all__ = [
    "GraphStatistics",
    "binary_softmax",
    "constant_reshape",
    "constant_resize",
    "exact_instance_norm",
    "graph_statistics",
    "merge_axes",
    "stable_names",
    "strip_metadata",
    "tiny_bias",
]
