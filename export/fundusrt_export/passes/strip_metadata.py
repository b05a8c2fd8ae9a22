"""Remove what says where and by whom a graph was traced."""

from __future__ import annotations

import onnx

__all__ = ["strip_metadata"]


def strip_metadata(model: onnx.ModelProto, *, producer: str = "fundusrt_export") -> int:
    """Clear doc strings and metadata of the model, its graph, nodes, values and initialisers; set the producer.

    The exporter stores stack traces there, with the paths of the machine that exported. None of it is read by a
    runtime.

    Legal cases: 1. always. Never declines. Functions and subgraphs do not occur in these models and are refused by
    the checks.

    Returns:
        Number of strings removed.
    """
    graph = model.graph
    removed = 0
    for proto in (
        graph,
        *graph.node,
        *graph.initializer,
        *graph.input,
        *graph.output,
        *graph.value_info,
        model,
    ):
        removed += bool(proto.doc_string) + len(proto.metadata_props)
        proto.ClearField("doc_string")
        del proto.metadata_props[:]
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        removed += bool(attribute.doc_string)
        attribute.ClearField("doc_string")
    del graph.quantization_annotation[:]
    model.producer_name = producer
    model.ClearField("producer_version")
    model.ClearField("domain")
    model.ClearField("model_version")
    graph.name = "branch"
    return removed
