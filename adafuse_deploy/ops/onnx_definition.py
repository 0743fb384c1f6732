"""What the ONNX definitions of our operators are made of: schemas, and nodes of function bodies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx
from onnx import helper
from onnxscript import values

from adafuse_deploy.core.actions import KEEP, REUSE
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION, Parameter, operators

OPSET = 18
"""Version of the standard operators used in graphs and bodies."""

_TYPES = {"T": "T", "int32": "tensor(int32)"}
_OF_CONVOLUTIONS = ("strides", "pads")
_FLOATS = ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"]


def make_schema(name: str) -> onnx.defs.OpSchema:
    """Return the schema of a convolution of ours as ONNX has it."""
    ours = operators()[name]
    option = onnx.defs.OpSchema.FormalParameterOption

    def formal(parameters: Iterable[Parameter]) -> list[onnx.defs.OpSchema.FormalParameter]:
        return [
            onnx.defs.OpSchema.FormalParameter(
                parameter.name,
                _TYPES[parameter.type],
                f"{parameter.shape}: {parameter.meaning}.",
                param_option=option.Optional if parameter.optional else option.Single,
            )
            for parameter in parameters
        ]

    return onnx.defs.OpSchema(
        name,
        DOMAIN,
        VERSION,
        ours.meaning,
        inputs=formal(ours.inputs),
        outputs=formal(ours.outputs),
        type_constraints=[("T", _FLOATS, "Floating point.")],
        attributes=[
            onnx.defs.OpSchema.Attribute(
                entry.name, onnx.defs.OpSchema.AttrType.INTS, entry.meaning
            )
            for entry in ours.attributes
        ],
    )


def make_operator(schema: onnx.defs.OpSchema) -> values.Op:
    """Return what makes nodes of an operator while PyTorch exports."""
    return values.Op(values.Opset(DOMAIN, VERSION), schema.name, schema)


def make_body(schema: onnx.defs.OpSchema, nodes: list[onnx.NodeProto]) -> onnx.FunctionProto:
    """Return an operator as a function of standard operators."""
    return helper.make_function(
        DOMAIN,
        schema.name,
        [parameter.name for parameter in schema.inputs],
        [parameter.name for parameter in schema.outputs],
        nodes,
        [helper.make_opsetid("", OPSET)],
        attributes=[entry.name for entry in operators()[schema.name].attributes],
    )


def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node with one output."""
    return helper.make_node(kind, inputs, [output], **attributes)


def conv(x: str, output: str) -> onnx.NodeProto:
    """Return the convolution of ``x`` by W and B with the function's own attributes."""
    result = node("Conv", [x, "W", "B"], output)
    for key in _OF_CONVOLUTIONS:
        reference = onnx.AttributeProto(name=key, ref_attr_name=key, type=onnx.AttributeProto.INTS)
        result.attribute.append(reference)
    return result


def ints(name: str, numbers: list[int]) -> onnx.NodeProto:
    """Return a constant vector.

    As a tensor: ONNX Runtime 1.20 to 1.24 cannot infer the shape of a function body's Pad whose
    pads are in ``value_ints``.
    """
    tensor = helper.make_tensor(name, onnx.TensorProto.INT64, [len(numbers)], numbers)
    return node("Constant", [], name, value=tensor)


def choose(action: str, current: str, previous: str, output: str) -> list[onnx.NodeProto]:
    """Return the nodes that keep, reuse or skip, given actions that broadcast to the values."""
    int32, float32 = onnx.TensorProto.INT32, onnx.TensorProto.FLOAT
    return [
        node("Constant", [], "keep", value=helper.make_tensor("keep", int32, [], [KEEP])),
        node("Constant", [], "reuse", value=helper.make_tensor("reuse", int32, [], [REUSE])),
        node("Equal", [action, "keep"], "kept"),
        node("Equal", [action, "reuse"], "reused"),
        node("Constant", [], "nothing", value=helper.make_tensor("nothing", float32, [], [0.0])),
        node("CastLike", ["nothing", "X"], "empty"),
        node("Where", ["reused", previous, "empty"], "history"),
        node("Where", ["kept", current, "history"], output),
    ]
