"""PolicyNetwork and PolicyHistory in ONNX Runtime, against their definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from adafuse_deploy.ops.library import register
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION

ort = pytest.importorskip("onnxruntime")

FEATURES, HIDDEN, CHANNELS = 5, 7, 4
RANKS = {"V_previous": 2, "V": 2, "W0": 2, "S0": 1, "B0": 1, "W1": 2, "B1": 1, "P": 2}


def run(
    operator: str,
    feeds: dict[str, np.ndarray],
    types: dict[str, int] | None = None,
    **attributes: Any,
) -> np.ndarray:
    """Run one node that reads ``feeds`` in their order, some of them in other types."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * RANKS[name])
        for name in feeds
    ]
    kind = TensorProto.INT32 if operator == "PolicyNetwork" else TensorProto.FLOAT
    output = helper.make_tensor_value_info("Y", kind, None)
    types = types or {}
    casts = [helper.make_node("Cast", [n], [f"{n}_cast"], to=kind) for n, kind in types.items()]
    names = [f"{name}_cast" if name in types else name for name in feeds]
    node = helper.make_node(operator, names, ["Y"], domain=DOMAIN, **attributes)
    graph = helper.make_graph([*casts, node], "one_node", inputs, [output])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 4
    register(options)
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (result,) = session.run(None, feeds)
    return np.asarray(result)


def make_feeds(rows: int) -> dict[str, np.ndarray]:
    """Small integers, whose sums are exact."""
    random = np.random.default_rng(rows)
    shapes = {
        "V_previous": (rows, FEATURES),
        "V": (rows, FEATURES),
        "W0": (HIDDEN, 2 * FEATURES),
        "S0": (HIDDEN,),
        "B0": (HIDDEN,),
        "W1": (HIDDEN, 3 * CHANNELS),
        "B1": (3 * CHANNELS,),
    }
    return {n: random.integers(-4, 5, shape).astype(np.float32) for n, shape in shapes.items()}


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.BFLOAT16])
@pytest.mark.parametrize(("clips", "frames"), [(2, 3), (1, 1), (0, 1)])
def test_policies(clips: int, frames: int, kind: int) -> None:
    types = {"W0": kind, "W1": kind}
    feeds = make_feeds(clips * frames)
    history = feeds["V_previous"] @ feeds["W0"][:, :FEATURES].T
    both = np.concatenate([feeds["V_previous"], feeds["V"]], 1)
    hidden = np.maximum(0, feeds["S0"] * (both @ feeds["W0"].T) + feeds["B0"])
    logits = hidden @ feeds["W1"] + feeds["B1"]
    policy = logits.reshape(clips, frames, CHANNELS, 3).argmax(-1)
    np.testing.assert_array_equal(run("PolicyNetwork", feeds, types, frames=frames), policy)
    histories = {name: feeds[name] for name in ("V_previous", "W0")}
    weighed = run("PolicyHistory", histories, {"W0": kind})
    np.testing.assert_array_equal(weighed, history)
    # With their share, the previous features themselves are not read.
    feeds["V_previous"] = np.full_like(feeds["V_previous"], np.nan)
    given = {**feeds, "P": weighed}
    np.testing.assert_array_equal(run("PolicyNetwork", given, types, frames=frames), policy)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("V_previous", (3, 5), r"V_previous \(3, 5\) does not fit V \(2, 5\)"),
        ("W1", (12, 7), r"W1 \(12, 7\) does not fit W0 \(7, 10\): it weighs the hidden units"),
        ("W1", (7, 11), r"W1 \(7, 11\) does not fit B1 \(12\): there are three actions"),
        ("P", (3, 7), r"P \(3, 7\) does not fit V \(2, 5\)"),
        ("P", (2, 6), r"P \(2, 6\) does not fit W0 \(7, 10\): one share per hidden unit"),
    ],
)
def test_bad_tensors_are_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    feeds = {**make_feeds(2), name: np.zeros(shape, np.float32)}
    with pytest.raises(Exception, match=message):
        run("PolicyNetwork", feeds, frames=1)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"W0": TensorProto.FLOAT16}, r"W0 \(7, 10\) must be float32 or bfloat16"),
        ({"W1": TensorProto.BFLOAT16}, "W0 and W1 must have the same type"),
    ],
)
def test_other_types_of_weights_are_refused(types: dict[str, int], message: str) -> None:
    with pytest.raises(Exception, match=message):
        run("PolicyNetwork", make_feeds(2), types, frames=1)


def test_history_must_fit_the_weights() -> None:
    feeds = {"V_previous": np.zeros((2, 5), np.float32), "W0": np.zeros((7, 9), np.float32)}
    with pytest.raises(Exception, match=r"W0 \(7, 9\) does not fit V_previous \(2, 5\)"):
        run("PolicyHistory", feeds)
