"""Write tests/vectors/block_values.json: what blocks of small whole numbers give.

    python -m tests.ops.triton.block.block_values

Inputs follow from a formula, so that C++ makes the same ones; every product and sum is exact in
fp16, so that results are compared by checksums.  Answers are those of PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.ops.triton.block.frames import Frames
from adafuse_deploy.ops.triton.block.run import from_frames, to_frames
from tests.graph.plugin_reference import BlockReference

FILE = Path(__file__).parents[3] / "vectors" / "block_values.json"
SHARES = {"ternary": 7, "policy": 3}


def pattern(count: int, salt: int, kind: str) -> np.ndarray:
    """Return whole numbers: "policy" and "small" 0 to 2, "ternary" -1, 0 and 1, mostly 0."""
    mixed = (np.arange(count, dtype=np.uint64) * 2654435761 + salt * 40503) % 2**32 >> 16
    if kind != "ternary":
        return (mixed % 3).astype(np.int64)
    rest = mixed % 7
    return np.where(rest == 0, -1, np.where(rest == 1, 1, 0)).astype(np.int64)


def checksum(values: np.ndarray) -> int:
    """Return the sum of whole numbers, each times its place, modulo 2^32."""
    flat = values.astype(np.float64).ravel()
    assert np.array_equal(flat, np.rint(flat))
    places = np.arange(1, len(flat) + 1, dtype=np.int64)
    return int((flat.astype(np.int64) * places % 2**32).sum() % 2**32)


def blocks() -> Iterator[dict[str, int]]:
    """Yield attributes of the plugin, but for its type."""
    common = {"frames": 3, "height": 4, "width": 4, "shift_shortcut": 1, "summed": 0}
    wide = {**common, "bottleneck": 1, "channels": 64, "channels_out": 256}
    yield {**wide, "channels_in": 64, "stride": 1, "project": 1, "shift_next": 8,
           "shift_previous": 8, "hidden": 0}  # fmt: skip
    yield {**wide, "channels_in": 256, "stride": 1, "project": 0, "shift_next": 32,
           "shift_previous": 32, "hidden": 48}  # fmt: skip
    basic = {**common, "bottleneck": 0, "channels": 64, "channels_out": 64}
    yield {**basic, "channels_in": 64, "stride": 2, "project": 1, "shift_next": 0,
           "shift_previous": 8, "hidden": 16, "shift_shortcut": 0}  # fmt: skip
    yield {**basic, "channels_in": 64, "stride": 1, "project": 0, "shift_next": 0,
           "shift_previous": 0, "hidden": 0}  # fmt: skip


def inputs(block: dict[str, int], rows: int) -> dict[str, np.ndarray]:
    """Return the plugin's inputs by name, in order; ``x`` as (rows, H, W, C)."""
    cin, mid, out = (block[f"channels{part}"] for part in ("_in", "", "_out"))
    taps = 1 if block["bottleneck"] else 9
    shapes: dict[str, tuple[int, ...]] = {
        "x": (rows, block["height"], block["width"], cin),
        "weight1": (mid + 1, taps * cin),
        "bias1": (mid + 1,),
        "weight2": (9, mid + 1, mid),
        "bias2": (mid,),
    }
    if block["bottleneck"]:
        shapes |= {"weight3": (out, mid), "bias3": (out,)}
    if block["project"]:
        shapes["shortcut"] = (out, cin)
    if block["hidden"]:
        hidden = block["hidden"]
        shapes |= {"gate_weight0": (hidden, 2 * cin), "gate_bias0": (hidden,)}
        shapes |= {"gate_weight1": (3 * mid, hidden), "gate_bias1": (3, mid)}
    else:
        shapes["policy"] = (rows // block["frames"], block["frames"], mid)
    made = {}
    for salt, (name, shape) in enumerate(shapes.items()):
        kind = {"x": "small", "policy": "policy"}.get(name, "ternary")
        made[name] = pattern(int(np.prod(shape)), salt, kind).reshape(shape)
    made["weight1"][mid], made["bias1"][mid], made["weight2"][:, mid] = 0, 0, 0
    return made


def frames_of(block: dict[str, int], x: np.ndarray) -> np.ndarray:
    """Return maps (rows, H, W, Cin) as the plugin's frames."""
    layout = Frames(block["height"], block["width"], block["channels_in"], not block["bottleneck"])
    return to_frames(torch.from_numpy(x).permute(0, 3, 1, 2), layout).numpy()


def maps_of(block: dict[str, int], frames: np.ndarray) -> np.ndarray:
    """Return the plugin's result as maps (rows, H', W', Cout)."""
    height, width = ((block[side] - 1) // block["stride"] + 1 for side in ("height", "width"))
    layout = Frames(height, width, block["channels_out"], not block["bottleneck"])
    maps = from_frames(torch.from_numpy(np.array(frames)), layout)
    return maps.permute(0, 2, 3, 1).float().numpy()


def case(block: dict[str, int], clips: int) -> dict[str, Any]:
    """Return a block with checksums of what it takes and gives."""
    given = inputs(block, clips * block["frames"])
    attributes = {**block, "actions": [0, 1, 2], "plugin_namespace": "ai.adafuse"}
    reference = BlockReference({**attributes, "plugin_version": "1"})
    x, *others = (
        value.astype(np.int32 if name == "policy" else np.float32) for name, value in given.items()
    )
    y, _, *decided = reference(frames_of(block, x), others)
    maps = maps_of(block, y)
    policy = decided[0] if decided else given["policy"]
    assert maps.max() < 2048 and maps.any() and len(np.unique(policy)) == 3
    return {
        "block": block,
        "clips": clips,
        "inputs": {name: checksum(values) for name, values in given.items()},
        "y": checksum(maps),
        "policy": checksum(policy),
    }


def main() -> None:
    lines = ",\n  ".join(json_text(case(block, 2)) for block in blocks())
    FILE.write_text(f'{{\n "source": "PyTorch",\n "cases": [\n  {lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
