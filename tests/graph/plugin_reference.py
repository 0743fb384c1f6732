"""What native/tensorrt computes, without its kernels: for the tests of graphs with plugins."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from onnx.reference.op_run import OpRun
from torch import Tensor

from adafuse_deploy.ops.conv import gated_conv, shift_frames
from adafuse_deploy.ops.triton.block.frames import Frames
from adafuse_deploy.ops.triton.block.run import from_frames, to_frames


class GatedResidualBlock(OpRun):
    """A block in float32, rounded to what it stores."""

    op_domain = "ai.adafuse"

    def _run(self, x, *inputs, **attributes):  # type: ignore[no-untyped-def]
        return BlockReference(attributes)(x, [np.array(value) for value in inputs])


class BlockReference:
    """Of the plugin's attributes: from frames and other inputs to frames, sums and the policy."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.a = attributes
        self.border = not attributes["bottleneck"]
        assert attributes["plugin_namespace"] == "ai.adafuse"
        assert attributes["plugin_version"] == "1"

    def __call__(self, x: np.ndarray, inputs: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        a, given = self.a, iter(inputs)
        stored = x.dtype

        def weight() -> Tensor:
            value = next(given)
            assert value.dtype == stored
            return torch.from_numpy(value).float()

        def number() -> Tensor:
            value = next(given)
            assert value.dtype == np.float32
            return torch.from_numpy(value)

        def rounded(value: Tensor) -> Tensor:
            return torch.from_numpy(value.numpy().astype(stored)).float()

        layout = Frames(a["height"], a["width"], a["channels_in"], self.border)
        maps = from_frames(torch.from_numpy(np.array(x)).float(), layout)
        again = to_frames(maps, layout)
        assert torch.equal(again, torch.from_numpy(np.array(x)).float())  # the border is zero
        channels, kernel = a["channels"], 3 if self.border else 1
        first = weight()
        assert not first[channels].any()
        first = first[:channels].unflatten(1, (kernel, kernel, -1)).permute(0, 3, 1, 2)
        bias1 = number()[:channels]
        second = weight()
        assert not second[:, channels].any()
        second = second[:, :channels].unflatten(0, (3, 3)).permute(3, 2, 0, 1)
        bias2 = number()
        last = None if self.border else (weight()[:, :, None, None], number())
        project = weight()[:, :, None, None] if a["project"] else None
        shifted = self._shifted(maps)
        if a["hidden"]:
            gate = [weight(), number(), weight(), number()]
            summed = torch.from_numpy(next(given)) if a["summed"] else maps.sum((2, 3))
            policy = self._decide(summed, gate)
        else:
            policy = torch.from_numpy(next(given))
        assert next(given, None) is None
        stride = [a["stride"]] * 2
        strides = (stride, [1, 1]) if self.border else ([1, 1], stride)
        y = gated_conv(shifted, first, bias1, policy, None, strides[0], [kernel // 2] * 2)
        y = torch.nn.functional.conv2d(rounded(y.relu()), second, bias2, strides[1], 1)
        if last is not None:
            y = torch.nn.functional.conv2d(rounded(y.relu()), *last)
        source = shifted if a["shift_shortcut"] else maps
        if project is not None:
            y = y + torch.nn.functional.conv2d(source, project, None, stride)
        else:
            y = y + maps
        y = rounded(y.relu())
        out = Frames(y.shape[2], y.shape[3], y.shape[1], self.border)
        results = [to_frames(y, out).numpy().astype(stored), y.sum((2, 3)).numpy()]
        return (*results, policy.numpy()) if a["hidden"] else tuple(results)

    def _shifted(self, maps: Tensor) -> Tensor:
        """Move channels between frames: from the next, from the one before, the others stay."""
        clips = maps.unflatten(0, (-1, self.a["frames"]))
        forward = self.a["shift_next"]
        end = forward + self.a["shift_previous"]
        parts = [
            shift_frames(clips[:, :, :forward], -1),
            shift_frames(clips[:, :, forward:end], 1),
            clips[:, :, end:],
        ]
        return torch.cat(parts, 2).flatten(0, 1)

    def _decide(self, sums: Tensor, gate: list[Tensor]) -> Tensor:
        frames, channels = self.a["frames"], self.a["channels"]
        pooled = sums / (self.a["height"] * self.a["width"])
        features = self._shifted(pooled[:, :, None, None])[:, :, 0, 0]
        clips = features.unflatten(0, (-1, frames))
        before = shift_frames(clips, 1).flatten(0, 1)
        weight0, bias0, weight1, bias1 = gate
        hidden = (torch.cat([before, features], 1) @ weight0.T + bias0).relu()
        logits = hidden @ weight1.T + bias1.flatten()
        choice = logits.unflatten(1, (3, channels)).argmax(1)
        actions = torch.tensor(self.a["actions"], dtype=torch.int32)
        return actions[choice].unflatten(0, (-1, frames))
