"""A fault planted in one layer of a graph is found there, and the folder that is written shows it by itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.errors import OutputError
from fundusrt_export.branch import DeployedBranch, uniform_noise
from fundusrt_export.errors import ParityError
from fundusrt_export.parity import (
    DivergenceError,
    ParityInputs,
    require_same_graph,
    require_same_network,
    runtimes,
    torch_to_onnxruntime,
)
from fundusrt_export.parity.first_divergence import Divergence, first_divergence
from fundusrt_export.parity.reproducer import SCRIPT, save_reproducer
from fundusrt_export.parity.tensor_trace import TracedTensor, trace_module, trace_onnx
from fundusrt_export.targets import normalised
from tests.export.small_system import SIDE

Graph = onnx.GraphProto
Trace = list[TracedTensor]


def node(graph: Graph, name: str) -> onnx.NodeProto:
    return next(each for each in graph.node if each.name == name)


def change_constant(graph: Graph, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Of one node alone: other nodes may share the constant."""
    user, index = next((each, index) for each in graph.node for index, value in enumerate(each.input) if value == name)
    (tensor,) = (each for each in graph.initializer if each.name == name)
    changed = np.ascontiguousarray(change(numpy_helper.to_array(tensor))).astype(np.float32)
    user.input[index] = f"{name}_changed"
    graph.initializer.append(numpy_helper.from_array(changed, f"{name}_changed"))


def other_operator(graph: Graph, name: str, operator: str) -> None:
    node(graph, name).op_type = operator


def displaced_resize(graph: Graph) -> None:
    (mode,) = (each for each in node(graph, "Resize_0").attribute if each.name == "coordinate_transformation_mode")
    mode.s = b"align_corners"


def reversed_kernel(weights: np.ndarray) -> np.ndarray:
    return weights[..., ::-1, ::-1]


def one_tap_off(weights: np.ndarray) -> np.ndarray:
    """Not the whole kernel: the normalisation behind it would undo a factor, and nothing would be wrong."""
    return weights * (1 + 0.05 * (np.arange(weights.size) == 5).reshape(weights.shape))


# node, layer of PyTorch, fault
FAULTS: list[tuple[str, str, Callable[[Graph], None]]] = [
    ("Conv_1", "network.encoder.0.3", lambda g: change_constant(g, "encoder.0.3.weight", reversed_kernel)),
    ("Conv_2", "network.encoder.1.0", lambda g: change_constant(g, "encoder.1.0.weight", one_tap_off)),
    ("Mul_6", "network.down", lambda g: change_constant(g, node(g, "Mul_6").input[1], lambda two: two / 2)),
    ("Relu_3", "network.encoder.1.5", lambda g: other_operator(g, "Relu_3", "Identity")),
    ("Resize_0", "network.up", displaced_resize),
    ("Add_7", "network.encoder.1.4", lambda g: change_constant(g, "constant_16", lambda bias: bias + 0.01)),
    ("Conv_7", "network.head", lambda g: change_constant(g, "head.bias", lambda bias: bias + 0.05)),
]


@pytest.fixture(scope="module")
def exported(originals: Any, rewritten: Any) -> nn.Module:
    noise = uniform_noise(originals["small"], SIDE)
    return DeployedBranch(normalised(rewritten["small"]["identity"], "two_pass", noise))


@pytest.fixture(scope="module")
def feed(inputs: ParityInputs) -> np.ndarray:
    return inputs.feeds("small")["colours"]


@pytest.fixture(scope="module")
def trained(exported: nn.Module, feed: np.ndarray) -> list[TracedTensor]:
    return trace_module(exported, feed)


@pytest.fixture(scope="module")
def honest(files: dict[str, bytes], feed: np.ndarray) -> list[TracedTensor]:
    return trace_onnx(files["small"], feed)


def planted(content: bytes, fault: Callable[[Graph], None]) -> bytes:
    model = onnx.load_model_from_string(content)
    fault(model.graph)
    return model.SerializeToString()


def test_an_honest_graph_does_not_diverge(trained: Trace, honest: Trace, files: Any, feed: np.ndarray) -> None:
    assert first_divergence(trained, files["small"], feed) is None
    assert first_divergence(honest, files["small"], feed) is None


@pytest.mark.parametrize(("name", "layer", "fault"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_exactly_the_layer_at_fault_is_named(
    name: str,
    layer: str,
    fault: Callable[[Graph], None],
    trained: Trace,
    honest: Trace,
    files: dict[str, bytes],
    feed: np.ndarray,
) -> None:
    faulty = planted(files["small"], fault)
    found = first_divergence(trained, faulty, feed)
    assert isinstance(found, Divergence)
    assert (found.node, found.layer) == (name, layer)
    assert found.tensor == f"{name}_out"
    assert found.difference > found.limit
    between = first_divergence(honest, faulty, feed)
    assert isinstance(between, Divergence)
    assert (between.node, between.layer) == (name, name)
    assert np.array_equal(between.made, found.made)


def test_the_folder_shows_it_by_itself(
    trained: Trace, files: dict[str, bytes], feed: np.ndarray, tmp_path: Path
) -> None:
    found = first_divergence(trained, planted(files["small"], FAULTS[0][2]), feed)
    assert isinstance(found, Divergence)
    folder = save_reproducer(found, tmp_path / "divergence", "torch-to-onnxruntime")
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "expected.npy",
        "graph.onnx",
        "input_0.npy",
        "made.npy",
        SCRIPT,
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["divergence"]
    graph = onnx.load(folder / "graph.onnx").graph
    assert [each.name for each in graph.node] == ["Conv_1"]
    readme = (folder / "README.md").read_text()
    for part in ("`Conv_1_out`", "`network.encoder.0.3`", f"python {SCRIPT}", "torch-to-onnxruntime"):
        assert part in readme

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, folder / SCRIPT], capture_output=True, text=True, check=False)

    shown = run()
    assert shown.returncode == 1, shown.stderr
    assert shown.stdout.startswith("Conv_1_out: largest difference ")
    np.save(folder / "expected.npy", np.load(folder / "made.npy"))
    assert run().returncode == 0
    save_reproducer(found, folder, "torch-to-onnxruntime")  # again, in place of the old one
    (folder / SCRIPT).unlink()
    with pytest.raises(OutputError, match="something that is no reproducer"):
        save_reproducer(found, folder, "torch-to-onnxruntime")


def test_a_failing_rung_names_tensor_layer_and_folder(
    exported: nn.Module, files: dict[str, bytes], inputs: ParityInputs, tmp_path: Path
) -> None:
    faulty = planted(files["small"], FAULTS[1][2])
    rung = torch_to_onnxruntime({"small": exported}, {"small": OnnxRuntimeSession(faulty, source="small")}, inputs)
    with pytest.raises(ParityError) as caught:
        require_same_network(rung, lambda: {"small": exported}, {"small": faulty}, inputs)
    error = caught.value
    assert isinstance(error, DivergenceError)
    saved = error.saved(tmp_path / "out-divergence")
    for part in ("rung torch-to-onnxruntime, network 'small'", "Conv_2_out of node Conv_2", "'network.encoder.1.0'"):
        assert part in str(saved)
    assert f"run reproduce.py in {tmp_path / 'out-divergence'}" in str(saved)
    assert (tmp_path / "out-divergence" / SCRIPT).is_file()


def test_a_rung_that_holds_is_not_explained(files: dict[str, bytes], sessions: Any, inputs: ParityInputs) -> None:
    rung = runtimes({"small": sessions["small"]}, {"again": {"small": files["small"]}}, inputs)
    assert rung.holds
    require_same_graph(rung, files, {"small": b"no model"}, inputs)


def test_a_variant_that_differs_is_explained(files: dict[str, bytes], sessions: Any, inputs: ParityInputs) -> None:
    faulty = planted(files["small"], FAULTS[3][2])
    rung = runtimes({"small": sessions["small"]}, {"variant": {"small": faulty}}, inputs)
    with pytest.raises(DivergenceError, match="Relu_3_out of node Relu_3") as caught:
        require_same_graph(rung, files, {"small": faulty}, inputs)
    assert "small, variant: max |difference| / range" in str(caught.value)
