"""Write tests/vectors: what the Python package and the C++ libraries must both answer.

    python scripts/make_vectors.py

Nothing here calls either implementation: answers come from Pillow, ml_dtypes and onnx, from exact
rational numbers, or from plain loops over a definition.  ``records_0.1.0.json`` is not made here:
those are records that adafuse-deploy 0.1.0 wrote.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from PIL import Image

from adafuse_deploy.core.json_text import json_text

FOLDER = Path(__file__).parents[1] / "tests" / "vectors"
KEEP, REUSE, SKIP = 0, 1, 2
REMOVED = "(removed)"
Case = dict[str, Any]


def write(name: str, source: str, cases: Iterable[Case]) -> None:
    """One case a line, so that a change shows what changed."""
    lines = [json_text(case) for case in cases]
    text = ",\n  ".join(lines)
    (FOLDER / f"{name}.json").write_text(
        f'{{\n "source": {json_text(source)},\n "cases": [\n  {text}\n ]\n}}\n'
    )


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def json_cases() -> Iterable[Case]:
    """Texts, as bytes where they are no UTF-8, and whether they are read."""
    good = [
        *("0", "-20", "2.5e-3", "1e5", "9007199254740993", "1e308", "true", "null", '""', " [ ] "),
        r'"x\"\\\n\u00e9\u4e2d\ud83d\ude00"',
        '{"a":{"a":[]}}',
        '[{"a":1},{"a":2}]',
        "[" * 64 + "]" * 64,
    ]
    bad = [
        *("", "{", "[1,", "[1 2]", '{"a"}', "{a:1}", '"x', r'"\q"', r'"\u12"', "1.2.3", "--1"),
        *("nul", "1 2", "01", "+1", ".5", "1.", "[1,]", '{"a":1,}', "// x\n1", "'a'", "\ufeff1"),
        *("NaN", "Infinity", "-Infinity", "1e400", "[-1e999]", '"\n"', "1\0", "{}\0{}"),
        *('{"a":1,"a":1}', '[{"b":{"c":1,"d":2,"c":3}}]', r'"\ud800"', r'"\udc00\ud800"'),
        *("[" * 65 + "]" * 65, '{"a":' * 65 + "1" + "}" * 65, "[" * 5000, '{"a":[' * 2500),
    ]
    invalid = [b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe4\xb8"']
    for text in good:
        yield {"text": encoded(text.encode()), "good": True}
    for data in [*(text.encode() for text in bad), *invalid]:
        yield {"text": encoded(data), "good": False}


def record_cases() -> Iterable[Case]:
    """Changes of a record of 0.1.0, what becomes of it, and what the error must name.

    ``outcome`` is "good", "damaged" or "incompatible".
    """

    def changed(record: str, path: str, value: Any, outcome: str, names: str = "") -> Case:
        keys = [int(key) if key.isdigit() else key for key in path.split(".")] if path else []
        case = {"record": record, "path": keys, "value": value, "outcome": outcome}
        return {**case, "names": names}

    for record in ("clip", "fused", "int8", "stream", "dense", "sidecar"):
        yield changed(record, "", None, "good")
    clip = "clip"
    for path in ("tool_version", "config", "layers", "gates", "mode", "precision", "operators"):
        yield changed(clip, path, REMOVED, "damaged", f"'{path}' is missing")
    for path in ("num_classes", "consensus", "preprocessing", "preprocessing.crop"):
        yield changed(clip, f"config.{path}", REMOVED, "damaged", f"'config.{path}' is missing")
    for path in ("checkpoint_sha256", "action_order", "config.gate_pooling", "layers.0.macs"):
        yield changed(clip, path, REMOVED, "good")
    for schema in (REMOVED, 2, 0, "1", None, True, [1]):
        yield changed(clip, "schema", schema, "incompatible", "metadata schema")
    for path in ("next", "config.next", "config.preprocessing.gamma", "layers.0.groups"):
        yield changed(clip, path, 1, "incompatible", f"'{unnumbered(path)}'")
    yield changed("stream", "state.0.kind", "x", "incompatible", "'state[0].kind'")
    for path, values in {
        "config.num_classes": (0, -1, 2**31, 2**63 - 1, 2**63, 2**64, 2.0, 1e20, "3", True, None),
        "config.num_segments": (0, 2**31, [4]),
        "config.class_names": (["a", "b", 3], "abc", None),
        "config.preprocessing.resize": (0, 65537, 36.0),
        "config.preprocessing.crop": (0, -32, 2**63 - 1),
        "config.preprocessing.mean": ([0, 0], [0, 0, 0, 0], [0, 0, "0"], 0),
        "config.preprocessing.std": ([1, 1, 0], [1, -1, 1], [1, 1]),
        "config.preprocessing.scale": ("1", None),
        "config.preprocessing.channel_order": ("grb", "", 3),
        "config.consensus": ("median", None),
        "config.backbone": ("resnet1000",),
        "config.width": (0, -1),
        "config.gated_stages": ([0], [6], ["4"], 4),
        "config.gate_actions": (["keep"], ["skip", "keep"]),
        "mode": ("batch", 1),
        "precision": ("fp8",),
        "operators": ([], {"ai.adafuse": "1"}, {"ai.adafuse": 0}, {"ai.adafuse": 2**31}),
        "gates": ([1], "gate"),
        "action_order": (["skip", "reuse", "keep"],),
        "checkpoint_sha256": ("ab", "AB" * 32, "ab" * 33, "a" * 1000),
        "calibration": ([], "max"),
        "layers.0.macs": (-1, 2**40 + 1, 1.5),
        "layers.0.kind": ("attention",),
        "layers.0.output": ({"gate": 0, "start": 0}, [0, 0, 8], None),
    }.items():
        for value in values:
            yield changed(clip, path, value, "damaged", unnumbered(path))
    yield changed(clip, "config.preprocessing.crop", 37, "damaged", "crop")
    yield changed(clip, "config.class_names", [], "good")
    yield changed(clip, "config.class_names", ["a"], "damaged", "class")
    yield changed(clip, "config.class_names", ["a"] * 4, "damaged", "class")
    ordered = {"median": 0.375, "p10": 0.25, "p90": 0.5}
    yield changed(clip, "config.frame_spacing", ordered, "good")
    yield changed(clip, "config.frame_spacing", dict.fromkeys(ordered, 1), "good")
    yield changed(clip, "config.frame_spacing", {**ordered, "p10": 0.4}, "damaged", "spacing")
    yield changed(clip, "config.frame_spacing", {**ordered, "p90": 0.3}, "damaged", "spacing")
    yield changed(clip, "config.frame_spacing", None, "damaged", "config.frame_spacing")
    for field in ordered:
        lacking = {name: value for name, value in ordered.items() if name != field}
        path = f"config.frame_spacing.{field}"
        yield changed(clip, "config.frame_spacing", lacking, "damaged", f"'{path}' is missing")
        for value in (0, -1, "1", None):
            spacing = {**ordered, field: value}
            yield changed(clip, "config.frame_spacing", spacing, "damaged", path)
    yield changed(clip, "config.gate_channels", {"layer1.0.gate1": 5}, "good")
    yield changed(clip, "config.plain_gates", ["layer1.0.gate1"], "good")
    for left in ([5], {"layer1.0.gate1": 0}, {"layer1.0.gate1": 1.5}):
        yield changed(clip, "config.gate_channels", left, "damaged", "config.gate_channels")
    for plain in ("layer1.0.gate1", [1]):
        yield changed(clip, "config.plain_gates", plain, "damaged", "config.plain_gates")
    for gate in ((1000, 0, 8), (0, 8, 8), (0, 8, 0)):
        channels = dict(zip(("gate", "start", "stop"), gate, strict=True))
        yield changed(clip, "layers.0.output", channels, "damaged", "channels of no gate")
        yield changed(clip, "layers.0.input", channels, "damaged", "channels of no gate")
    for bound in ("gate", "start", "stop"):
        for number in (-1, 2**63 - 1):
            channels = {"gate": 0, "start": 0, "stop": 8, bound: number}
            yield changed(clip, "layers.0.output", channels, "damaged", f"layers[0].output.{bound}")
    for shape in ([0], [-1, 2], [2**63 - 1], [2.5], 4):
        yield changed("stream", "state.0.shape", shape, "damaged", "state[0].shape")
    for shape in ([2**40, 2], [2**20, 2**20, 2], [2**33] * 3):
        yield changed("stream", "state.0.shape", shape, "damaged", "more than 2^40 values")
    yield changed("stream", "state.0.shape", [2**20, 2**20], "good")
    yield changed("stream", "state.0.dtype", "float16", "damaged", "state[0].dtype")
    for value in ([], 1, None, "record"):
        yield changed(clip, "", value, "damaged" if value is not None else "good", "")

    for path in ("engine_sha256", "backend", "batch", "operators", "batch.opt", "operators.domain"):
        yield changed("sidecar", path, REMOVED, "damaged", f"'{path}' is missing")
    yield changed("sidecar", "schema", 2, "incompatible", "sidecar schema 2 (adafuse-deploy 0.1.0)")
    yield changed("sidecar", "metadata.schema", 9, "incompatible", "metadata schema 9")
    yield changed("sidecar", "next", 1, "incompatible", "'next'")
    yield changed("sidecar", "operators.next", 1, "incompatible", "'operators.next'")
    yield changed("sidecar", "operators", None, "good")
    for path, values in {
        "engine_sha256": ("", "xyz", 1),
        "compute_capabilities": (["8"], ["8.6++"], ["abc+"], [8.6], "8.6", ["8.6\n"]),
        "batch.max": (0, "4", 2**31),
        "operators": ([], "none", False),
        "operators.embedded": (0, "no"),
        "precision": ("fp8",),
    }.items():
        for value in values:
            yield changed("sidecar", path, value, "damaged", path)
    yield changed("sidecar", "batch.opt", 5, "damaged", "max")
    yield changed("sidecar", "metadata.mode", "batch", "damaged", "mode")


def unnumbered(path: str) -> str:
    """``layers.0.macs`` as errors write it: ``layers[0].macs``."""
    return "".join(
        f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".")
    ).removeprefix(".")


def property_cases() -> Iterable[Case]:
    """ONNX files and their metadata_props, by the onnx package; null where they are damaged."""

    def model(properties: Sequence[tuple[str, str]]) -> onnx.ModelProto:
        node = onnx.helper.make_node("Relu", ["x"], ["y"])
        info = [onnx.helper.make_tensor_value_info(name, 1, [2]) for name in "xy"]
        weights = onnx.numpy_helper.from_array(np.arange(300, dtype=np.float32), "w")
        graph = onnx.helper.make_graph([node], "g", info[:1], info[1:], [weights])
        result = onnx.helper.make_model(graph, ir_version=9)
        for key, value in properties:
            result.metadata_props.add(key=key, value=value)
        return result

    def case(data: bytes, properties: dict[str, str] | None) -> Case:
        return {"file": encoded(data), "properties": properties}

    for properties in (
        [],
        [("adafuse", "{}")],
        [("b", ""), ("", "empty"), ("adafuse", "x" * 300), ("ä", "中 😀")],
        [("adafuse", "first"), ("adafuse", "last")],
    ):
        data = model(properties).SerializeToString()
        yield case(data, dict(properties))
        read = {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
        assert read == dict(properties)
    whole = model([("adafuse", "record")]).SerializeToString()
    yield case(b"", {})
    # Another order of key and value, and fields of every kind that no version has.
    yield case(b"\x72\x0a\x12\x03one\x0a\x03key", {"key": "one"})
    unknown = b"\xf8\x07\x01" + b"\xf9\x07" + bytes(8) + b"\xfd\x07" + bytes(4) + b"\xfa\x07\x02ab"
    yield case(unknown + whole, {"adafuse": "record"})
    for data in (
        *(whole[:-1], whole[:100], b"no model", b"\x72\x05ab", b"\x08", b"\x08" + b"\xff" * 10),
        *(b"\x0b", b"\x0c", b"\x0e", b"\x72\x03\x0a\x05a", b"\x72\x02\x0a", b"\x09abc"),
        b"\x72" + b"\xff" * 9 + b"\x01",  # longer than any file
        b"\x0a" + b"\xff" * 9 + b"\x01",
        b"\x72\x05\x0a\x03\xff\xfe\xfd",  # no UTF-8
    ):
        yield case(data, None)


def sampling_cases() -> Iterable[Case]:
    """The frame in the middle of each segment: floor((2 s + 1) F / (2 T))."""
    sizes = [(f, t) for t in (1, 3, 4, 8, 16) for f in (*range(1, 40), 97, 100, 1000, 12345)]
    sizes += [(10**9 + 7, 8), (10**6 + 3, 7), (2**40 + 1, 12), (5, 100)]
    for frames, segments in sizes:
        if frames < segments:
            expected = [min(segment, frames - 1) for segment in range(segments)]
        else:
            expected = [(2 * s + 1) * frames // (2 * segments) for s in range(segments)]
        yield {"frames": frames, "segments": segments, "indices": expected}


def clips_at_once_cases() -> Iterable[Case]:
    """What fits in place of one float32 clip of 8 frames of 224 x 224; null: all, not fused."""
    for precision, size in (("fp32", 4), ("bf16", 2), ("int8", 1)):
        for segments, side in ((8, 224), (1, 224), (3, 64), (8, 225), (16, 512)):
            clips = max(1, 8 * 224**2 * 4 // (segments * side**2 * size))
            clip = {"precision": precision, "segments": segments, "side": side}
            yield clip | {"fused": True, "clips": clips}
            yield clip | {"fused": False, "clips": None}


def macs_cases() -> Iterable[Case]:
    """Multiply-accumulates, channel by channel (section 3.1 of the paper).

    A frame computes a channel that it keeps or that the next frame reuses, and reads each that it
    does not skip.  A stream's frame is charged with what it keeps, and with what it makes the frame
    before compute late.
    """
    draw = random.Random(0)
    widths = [4, 6]

    def channels(gate: int, start: int, stop: int) -> dict[str, int]:
        return {"gate": gate, "start": start, "stop": stop}

    layers = [
        {"name": "stem", "kind": "conv", "macs": 1000},
        {"name": "conv1", "kind": "conv", "macs": 40, "output": channels(0, 0, 4)},
        {"name": "conv2", "kind": "conv", "macs": 400, "input": channels(0, 0, 4)},
        {"name": "part", "kind": "conv", "macs": 300, "output": channels(1, 2, 5)},
        {
            **{"name": "both", "kind": "conv", "macs": 480},
            **{"output": channels(1, 0, 6), "input": channels(0, 1, 3)},
        },
        {"name": "pool", "kind": "pool", "norm_ops": 64},
    ]

    def count(row: list[list[list[int]]], frame: int) -> int:
        """What one frame of ``row`` [gate][frame][channel] costs, the last of its clip or not."""
        total = 0
        for layer in layers:
            macs = layer.get("macs", 0)
            out, into = layer.get("output"), layer.get("input")
            outs = range(out["start"], out["stop"]) if out else [None]
            ins = range(into["start"], into["stop"]) if into else [None]
            for o in outs:
                for i in ins:
                    computed = out is None or (
                        row[out["gate"]][frame][o] == KEEP
                        or (
                            frame + 1 < len(row[out["gate"]])
                            and row[out["gate"]][frame + 1][o] == REUSE
                        )
                    )
                    read = into is None or row[into["gate"]][frame][i] != SKIP
                    total += macs // len(outs) // len(ins) if computed and read else 0
        return total

    for frames in (1, 2, 3, 8):
        clips = 3
        policies = [
            [
                [draw.choices((KEEP, REUSE, SKIP), k=width) for _ in range(frames)]
                for _ in range(clips)
            ]
            for width in widths
        ]
        macs = [
            sum(count([gate[clip] for gate in policies], t) for t in range(frames))
            for clip in range(clips)
        ]
        # Frame by frame: the clip so far, less what was charged before.
        steps = []
        for clip in range(clips):
            charged: list[int] = []
            for t in range(frames):
                row = [gate[clip][: t + 1] for gate in policies]
                so_far = sum(count(row, frame) for frame in range(t + 1))
                charged.append(so_far - sum(charged))
            steps.append(charged)
        yield {"layers": layers, "policies": policies, "macs": macs, "stream_macs": steps}


def consensus_cases() -> Iterable[Case]:
    """Weighted means of the frames since a stream began, in rational numbers."""
    draw = random.Random(1)
    streams, classes, frames = 2, 3, 7
    reset_before = 4  # stream 1 begins anew
    logits = [
        [[float(np.float32(draw.uniform(-20, 20))) for _ in range(classes)] for _ in range(streams)]
        for _ in range(frames)
    ]
    for kind, window, decay in (
        *(("mean", 8, 0.9), ("window", 1, 0.9), ("window", 3, 0.9), ("window", 8, 0.9)),
        *(("ema", 8, 0.9), ("ema", 8, 0.25), ("last", 8, 0.9)),
    ):
        expected = []
        for t in range(frames):
            step = []
            for stream in range(streams):
                begin = reset_before if stream == 1 and t >= reset_before else 0
                ages = [(t - u, logits[u][stream]) for u in range(begin, t + 1)]
                weight = {
                    "mean": lambda age: Fraction(1),
                    "window": lambda age, window=window: Fraction(age < window),
                    "ema": lambda age, decay=decay: Fraction(decay) ** age,
                    "last": lambda age: Fraction(age == 0),
                }[kind]
                total = sum(weight(age) for age, _ in ages)
                step.append(
                    [
                        float(sum(weight(age) * Fraction(x[k]) for age, x in ages) / total)
                        for k in range(classes)
                    ]
                )
            expected.append(step)
        options = {"kind": kind, "window": window, "decay": decay}
        yield {
            **options,
            "reset_stream_1_before": reset_before,
            "logits": logits,
            "expected": expected,
        }


def preprocessing_cases() -> Iterable[Case]:
    """Resized by Pillow's antialiased bilinear filter, cropped in the middle, normalised.

    The width comes first: Pillow 13 itself begins with the height of tall images.
    """
    draw = np.random.default_rng(2)
    for height, width, resize, crop in (
        *((7, 9, 8, 6), (9, 7, 8, 8), (5, 5, 5, 5), (6, 31, 5, 3), (31, 6, 5, 4), (1, 1, 4, 3)),
        *((3, 40, 9, 8), (24, 32, 7, 7), (8, 8, 11, 8)),
    ):
        frame = draw.integers(0, 256, (height, width, 3), np.uint8)
        short = min(height, width)
        size = (resize * width // short, resize * height // short)
        narrowed = Image.fromarray(frame).resize((size[0], height), Image.Resampling.BILINEAR)
        resized = narrowed.resize(size, Image.Resampling.BILINEAR)
        # Half of the free space, rounded to even.
        left, top = (round((side - crop) / 2) for side in size)
        pixels = np.asarray(resized.crop((left, top, left + crop, top + crop)))
        bgr = height > width
        mean, std, scale = (
            ((104, 117, 128), (1, 1, 1), 1)
            if bgr
            else ((0.5, 0.4, 0.25), (0.25, 0.2, 0.5), 1 / 255)
        )
        values = pixels[..., ::-1] if bgr else pixels
        normal = (values * np.float64(scale) - mean) / std
        yield {
            **{"height": height, "width": width, "frame": encoded(frame.tobytes())},
            "preprocessing": {
                **{"resize": resize, "crop": crop, "mean": mean, "std": std, "scale": scale},
                "channel_order": "bgr" if bgr else "rgb",
            },
            "pixels": encoded(pixels.tobytes()),
            "sum": float(normal.sum()),
        }


def bfloat16_cases() -> Iterable[Case]:
    """Bits of float32 and of the nearest bfloat16, ties to even, by ml_dtypes."""
    bits = [0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000]
    bits += [0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x3F817FFF, 0x3F818001]  # ties
    bits += [0x00000001, 0x00008000, 0x00008001, 0x807FFFFF, 0x00018000]  # subnormal numbers
    bits += [0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF, 0xFF7F8000]  # up to infinity
    draw = random.Random(3)
    bits += [draw.getrandbits(32) & 0xBFFFFFFF for _ in range(40)]
    floats = np.array(bits, np.uint32).view(np.float32)
    halves = floats.astype(ml_dtypes.bfloat16).view(np.uint16)
    for single, half in zip(bits, halves.tolist(), strict=True):
        yield {"float32": single, "bfloat16": half}
    # Which NaN comes out is left open, but none becomes infinity.
    for single in (0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7FFFFFFF, 0x7F80FFFF):
        yield {"float32": single, "bfloat16": None}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    write("json", "RFC 8259", json_cases())
    write("records", "adafuse_deploy/schema, by hand", record_cases())
    write("properties", f"onnx {onnx.__version__}", property_cases())
    write("sampling", "floor((2 s + 1) F / (2 T)) in integers", sampling_cases())
    write("clips_at_once", "8 * 3 * 224 * 224 * 4 bytes", clips_at_once_cases())
    write("macs", "AdaFuse (arXiv 2102.05775), section 3.1, channel by channel", macs_cases())
    write("consensus", "weighted means in rational numbers", consensus_cases())
    write("preprocessing", "Pillow", preprocessing_cases())
    write("bfloat16", "ml_dtypes", bfloat16_cases())


if __name__ == "__main__":
    main()
