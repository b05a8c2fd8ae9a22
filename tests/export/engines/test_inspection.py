"""The inspector's JSON, as TensorRT 10 and as TensorRT 11 write it, to the same records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fundusrt_export.engines.inspection import EngineInspection, EngineTensor, data_type, parse_inspection
from fundusrt_export.errors import InspectionError
from tests.export.engines.fake_runtime import io_json, layer_json

FLOAT, HALF, INT8 = 1, 10, 3  # ONNX element types
IO = [
    {"name": "image", "mode": "INPUT", "type": FLOAT, "shape": [-1, 3, 8, 8]},
    {"name": "mask", "mode": "OUTPUT", "type": FLOAT, "shape": [-1, 1, 8, 8]},
]
PLAN = {"profiles": [{"image": [[size, 3, 8, 8] for size in (1, 2, 4)]}]}
SHAPES = ((1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 8, 8))
TENSORS = (
    EngineTensor(name="image", mode="input", dtype="fp32", shape=(-1, 3, 8, 8), profiles=(SHAPES,)),
    EngineTensor(name="mask", mode="output", dtype="fp32", shape=(-1, 1, 8, 8), profiles=()),
)


def layers(one_string: bool) -> list[dict[str, Any]]:
    kinds = [("in", "Cast", FLOAT, HALF), ("conv", "Conv", HALF, HALF), ("out", "Cast", HALF, FLOAT)]
    return [
        layer_json(
            {
                "name": name,
                "op": op,
                "inputs": [{"name": f"{name}<", "type": read, "shape": [2, 3, 8, 8]}],
                "outputs": [{"name": f"{name}>", "type": written, "shape": [2, 1, 8, 8]}],
            },
            one_string,
        )
        for name, op, read, written in kinds
    ]


def described(name: str) -> EngineTensor:
    return next(tensor for tensor in TENSORS if tensor.name == name)


def never(name: str) -> EngineTensor:
    raise AssertionError(f"{name} is in the document")


def ten() -> EngineInspection:
    document = {"Layers": layers(True), "Bindings": ["image", "mask"]}
    return parse_inspection(json.dumps(document), described, "net")


def eleven(spelling: str = "Datatype") -> EngineInspection:
    document = {"Layers": layers(False), "I/O Tensors": [io_json(PLAN, each) for each in IO]}
    text = json.dumps(document).replace('"Datatype"', f'"{spelling}"')
    return parse_inspection(text, never, "net")


def test_inputs_and_outputs_are_the_same_from_either_form() -> None:
    assert ten().tensors == eleven().tensors == TENSORS


@pytest.mark.parametrize("spelling", ["Datatype", "DataType"])
def test_layers_are_the_same_from_either_form(spelling: str) -> None:
    assert [layer.precision for layer in ten().layers] == ["fp16", "fp16", "fp32"]
    for old, new in zip(ten().layers, eleven(spelling).layers, strict=True):
        assert old == new
    conv = ten().layers[1]
    assert (conv.name, conv.type, conv.kernel) == ("conv", "Conv", "sm80_conv")
    assert [(each.name, each.dtype, each.shape) for each in conv.inputs] == [("conv<", "fp16", (2, 3, 8, 8))]
    assert conv.outputs[0].format == "Row major linear FP16 format"


def test_the_summary_counts_types_and_precisions() -> None:
    assert ten().summary() == "3 layers: 2 Cast, 1 Conv; in fp16 2, fp32 1"
    document = ten().to_dict()
    assert document["summary"] == ten().summary()
    assert [layer["precision"] for layer in document["layers"]] == ["fp16", "fp16", "fp32"]
    assert json.loads(json.dumps(document)) == document


def test_what_the_inspector_does_not_say_is_unknown_and_not_guessed() -> None:
    mixed = layers(True)
    mixed[0]["Outputs"][0]["Format/Datatype"] = "N/A due to dynamic shapes"
    mixed[1]["Outputs"].append({"Name": "more", "Format/Datatype": "Float"})
    del mixed[1]["TacticName"], mixed[2]["Outputs"]
    seen = parse_inspection(json.dumps({"Layers": mixed, "Bindings": []}), never, "net").layers
    assert [layer.precision for layer in seen] == ["unknown", "fp16+fp32", "unknown"]
    assert seen[0].outputs[0].format == "N/A due to dynamic shapes"
    assert (seen[1].kernel, seen[1].outputs[1].shape) == (None, None)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Thirty-two wide channel vectorized row major Int8 format", "int8"),
        ("Channel major FP16 format where channel % 8 == 0 with 3 spatial dimensions", "fp16"),
        ("Row major linear FP32", "fp32"),
        ("Channel major BFloat16 format where channel % 8 == 0", "bf16"),
        ("Row major linear UInt8 format", "uint8"),
        ("Row major linear FP4 format (kLINEAR)", "fp4"),
        ("Half", "fp16"),
        ("BF16", "bf16"),
        ("Float", "fp32"),
        ("Unknown format", None),
        ("FloatComplex", None),
        ("from Int8 to FP32", None),
    ],
)
def test_data_types_of_the_format_strings(text: str, name: str | None) -> None:
    assert data_type(text) == name


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("{", "Invalid JSON"),
        ('{"Layers": []}', "neither 'Bindings' nor 'I/O Tensors'"),
        ('{"Layers": [], "Bindings": []}', "no layers"),
        ('{"Bindings": []}', "Layers: Field required"),
        ('{"Layers": ["conv + relu"], "Bindings": []}', r"Layers\.0: Input should be"),
        ('{"Layers": [{"Name": "conv"}], "Bindings": []}', r"Layers\.0\.LayerType: Field required"),
        (
            '{"Layers": [], "I/O Tensors": [{"Name": "x", "IOMode": "None", "DataType": "Float", "Dimensions": []}]}',
            r"I/O Tensors\.0\.IOMode",
        ),
    ],
)
def test_another_document_is_refused(document: str, says: str) -> None:
    with pytest.raises(InspectionError, match=rf"^net: got {says}") as caught:
        parse_inspection(document, described, "net")
    assert "TensorRT 10 or 11" in str(caught.value.expected)
    assert "--force" in str(caught.value.fix)
