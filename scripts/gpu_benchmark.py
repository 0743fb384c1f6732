"""Check and time the conditional kernels on this machine's GPU; takes less than eight minutes.

1. Every kind of conditional convolution of ResNet-50, by our kernels, against PyTorch in float64.
2. AdaFuse TSM ResNet-50 in fp16, channels last, obeying given policies, against the same network in
   float32 on the processor, and timed beside the dense network on cuDNN; both as CUDA graphs.
3. The TensorRT plugin library's test on the GPU, where 'make plugin' has built it.

Writes a JSON and a Markdown file, called after the GPU, into docs/benchmarks/gpu.  With '--device
cpu --tiny' it only shows that the script works: kernels in Triton's interpreter, a small network on
the reference operators, and no figure worth anything.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from page import DOCS, table
from torch import Tensor

from adafuse_deploy import __version__
from adafuse_deploy.benchmark.machine import describe_machine
from adafuse_deploy.benchmark.mixes import MIXES, draw_policies
from adafuse_deploy.compare.output_error import relative_error
from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.cost import clip_macs
from adafuse_deploy.core.files import write_text
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.models.forward import ForwardPass
from adafuse_deploy.models.layers import temporal_shift
from adafuse_deploy.models.recognizer import Output, VideoRecognizer
from adafuse_deploy.models.registry import dense_peer, model_config
from adafuse_deploy.ops.conv import fuse, previous_frame
from adafuse_deploy.verification.latency import interleave

ROOT = Path(__file__).parent.parent
ARCH = "adafuse_tsm_resnet50"
TINY = {"width": 0.125, "size": 32, "num_segments": 2, "num_classes": 4, "gate_hidden": 8}
NAMED_MIXES = ("dense", "sthv1", "sthv2", "jester")
KEEP_SHARES = (0.8, 0.6, 0.4, 0.2)  # of the sweep; the rest is skip : reuse = 2 : 1
TOLERANCE = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
MAX_LOGITS_ERROR = 2e-2  # of fp16 against float32 under the same policies, relative to the RMS

Policies = list[Tensor]


@dataclass(frozen=True)
class Shape:
    """A convolution of ResNet-50 at 224 x 224."""

    gated: bool
    skipping: bool
    channels: tuple[int, int]
    size: int
    kernel: int
    stride: int = 1

    @property
    def name(self) -> str:
        kinds = [*(["gated"] if self.gated else []), *(["skipping"] if self.skipping else [])]
        return (
            f"{' '.join(kinds)} {self.kernel}x{self.kernel}/{self.stride}, "
            f"{self.channels[0]} to {self.channels[1]} at {self.size}"
        )


SHAPES = [
    *(Shape(True, False, (4 * c, c), s, 1) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(False, True, (c, c), s, 3) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(Shape(False, True, (c, c), s, 3, 2) for c, s in ((128, 56), (256, 28), (512, 14))),
    Shape(True, True, (64, 64), 56, 3),
]
TINY_SHAPES = [
    Shape(True, False, (32, 16), 6, 1),
    Shape(False, True, (16, 16), 6, 3, 2),
    Shape(True, True, (16, 24), 5, 3),
]


def check_kernels(device: str, shapes: Sequence[Shape], frames: int) -> list[dict[str, Any]]:
    """Compare our kernels with PyTorch in float64; an error of 1 or more is too large."""
    from adafuse_deploy.ops.triton.launch import convolve

    # Triton's interpreter multiplies the bits of bfloat16 numbers.
    types = [dtype for dtype in TOLERANCE if device != "cpu" or dtype != torch.bfloat16]
    generator = torch.Generator().manual_seed(0)
    results = []
    for shape in shapes:
        channels_in, channels_out = shape.channels
        x = torch.randn(frames, channels_in, shape.size, shape.size, generator=generator)
        weight = torch.randn(
            channels_out, channels_in, shape.kernel, shape.kernel, generator=generator
        ) / (channels_in**0.5 * shape.kernel)
        bias = torch.randn(channels_out, generator=generator)
        output = _actions(channels_out, frames, generator) if shape.gated else None
        promise = _actions(channels_in, frames, generator) if shape.skipping else None
        if promise is not None:
            first = torch.arange(frames)[:, None] == 0
            zero = (promise[0] == SKIP) | ((promise[0] == REUSE) & first)
            x = x.masked_fill(zero[:, :, None, None], 0)
        geometry = [shape.stride] * 2, [shape.kernel // 2] * 2
        for dtype in types:
            half = [tensor.to(dtype) for tensor in (x, weight, bias)]
            expected = F.conv2d(*(tensor.double() for tensor in half), *geometry)
            if output is not None:
                expected = fuse(expected, previous_frame(expected, frames), output)
            layouts = [torch.channels_last]
            if dtype == torch.float16:
                layouts.append(torch.contiguous_format)
            for layout in layouts:
                moved = half[0].to(device).contiguous(memory_format=layout)
                policies = [None if p is None else p.to(device) for p in (output, promise)]
                rest = [tensor.to(device) for tensor in half[1:]]
                got = convolve(moved, *rest, *policies, *geometry).cpu().double()
                error = (got - expected).abs() / (TOLERANCE[dtype] * (1 + expected.abs()))
                results.append(
                    {
                        "convolution": shape.name,
                        "type": str(dtype).removeprefix("torch."),
                        "layout": "NHWC" if layout == torch.channels_last else "NCHW",
                        "error": float(error.max()),
                    }
                )
    return results


def _actions(channels: int, frames: int, generator: torch.Generator) -> Tensor:
    actions = torch.tensor([SKIP, REUSE, KEEP], dtype=torch.int32)
    return actions[torch.randint(0, 3, (1, frames, channels), generator=generator)]


class ChannelsLastPass(ForwardPass):
    """A forward pass that shifts channels-last frames without bringing them into another layout."""

    def shift(self, x: Tensor, kind: str, div: int) -> Tensor:
        if kind != "bidirectional":
            return temporal_shift(x, self.frames, kind, div)
        clips = x.permute(0, 2, 3, 1).unflatten(0, (-1, self.frames))
        fold = x.shape[1] // div
        parts = [
            F.pad(clips[:, 1:, ..., :fold], (0, 0, 0, 0, 0, 0, 0, 1)),
            F.pad(clips[:, :-1, ..., fold : 2 * fold], (0, 0, 0, 0, 0, 0, 1, 0)),
            clips[..., 2 * fold :],
        ]
        return torch.cat(parts, -1).flatten(0, 1).permute(0, 3, 1, 2)


def run(model: VideoRecognizer, frames: Tensor, policies: Policies) -> Output:
    """Run clips (N, T, 3, H, W); policy networks are computed, and obeyed are ``policies``."""
    given = iter(policies)
    return model._run(frames, ChannelsLastPass(frames.shape[1], lambda logits: next(given)))


def networks(tiny: bool) -> tuple[VideoRecognizer, VideoRecognizer]:
    """Return AdaFuse and dense network, of random weights."""
    config = model_config(ARCH, **(TINY if tiny else {}))
    return _lively(VideoRecognizer(config)), _lively(VideoRecognizer(dense_peer(config)))


def _lively(model: VideoRecognizer) -> VideoRecognizer:
    """Return the deployed network with weights under which values neither vanish nor overflow."""
    model, generator = model.deployed(), torch.Generator().manual_seed(0)
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            gain = 0.3 if name.endswith("conv3.conv") else 1.4  # sums of residuals grow
            deviation = gain / module.weight[0].numel() ** 0.5
            module.weight.normal_(0, deviation, generator=generator)
    return model


def placed(model: VideoRecognizer, device: str) -> VideoRecognizer:
    """Return the network in fp16 and channels last on a GPU, unchanged on a processor."""
    if device == "cpu":
        return model
    return model.to(device, torch.float16).to(memory_format=torch.channels_last)


def clips(model: VideoRecognizer, count: int, device: str) -> Tensor:
    """Return random clips (N, T, 3, H, W), as :func:`placed` places the network."""
    frames, size = model.config.num_segments, model.config.preprocessing.crop
    x = torch.randn(count * frames, 3, size, size, generator=torch.Generator().manual_seed(1))
    if device != "cpu":
        x = x.to(device, torch.float16)
    return x.contiguous(memory_format=torch.channels_last).unflatten(0, (count, frames))


def draw(model: VideoRecognizer, mix: tuple[float, float, float], count: int) -> list[np.ndarray]:
    return draw_policies(model.layers(), mix, count, model.config.num_segments)


def check_network(tiny: bool, device: str) -> float:
    """Return the largest error of logits under the same policies, relative to their RMS."""
    model, _ = networks(tiny)
    policies = [torch.from_numpy(policy) for policy in draw(model, MIXES["sthv2"], 1)]
    frames = clips(model, 1, "cpu")
    expected = run(model, frames, policies).frame_logits
    got = run(
        placed(model, device),
        clips(model, 1, device),
        [policy.to(device) for policy in policies],
    ).frame_logits
    return relative_error(expected.cpu().numpy(), got.cpu().float().numpy())


class Recorder:
    """Makes CUDA graphs that share memory, because they run one after another."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle() if device != "cpu" else None

    def record(self, call: Callable[[], object]) -> Callable[[], object]:
        """Return a call that repeats ``call`` and returns when its work is done."""
        if self._device == "cpu":
            return call
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # compiles kernels and lets cuDNN choose its own
                call()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            call()

        def replay() -> None:
            graph.replay()
            torch.cuda.synchronize()

        return replay


def mixes() -> dict[str, tuple[float, float, float]]:
    """Return the mixes to time: of data sets, then the sweep."""
    swept = {f"keep {keep:.0%}": ((1 - keep) * 2 / 3, (1 - keep) / 3, keep) for keep in KEEP_SHARES}
    return {name: MIXES[name] for name in NAMED_MIXES} | swept


def time_networks(tiny: bool, device: str, count: int, rounds: int) -> dict[str, Any]:
    """Time dense and AdaFuse networks on ``count`` clips, in turn."""
    adaptive, dense = (placed(model, device) for model in networks(tiny))
    recorder, frames = Recorder(device), clips(adaptive, count, device)
    calls = {"cuDNN": recorder.record(lambda: run(dense, frames, []))}
    fewer = {}
    total = clip_macs(dense.layers(), [], dense.config.num_segments).mean()
    for name, mix in mixes().items():
        drawn = draw(adaptive, mix, count)
        macs = clip_macs(adaptive.layers(), drawn, adaptive.config.num_segments)
        fewer[name] = float(total / macs.mean())
        policies = [torch.from_numpy(policy).to(device) for policy in drawn]
        calls[name] = recorder.record(lambda given=policies: run(adaptive, frames, given))
    times = interleave(calls, rounds=rounds, warmup=2 if tiny else 10)
    reference = times.pop("cuDNN")
    rows = [
        {
            "mix": name,
            "keep": mixes()[name][2],
            "fewer_macs": fewer[name],
            "p50_ms": latency.p50,
            "p90_ms": latency.p90,
            "speedup": reference.p50 / latency.p50,
        }
        for name, latency in times.items()
    ]
    swept = [row for row in rows if row["mix"] == "dense" or row["mix"].startswith("keep")]
    return {
        "clips": count,
        "dense": asdict(reference),
        "adaptive": rows,
        "break_even_keep": break_even([(row["keep"], row["speedup"]) for row in swept]),
    }


def break_even(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the largest share of kept channels up to which the speed-up is 1 or more.

    Args:
        points: (share, speed-up); between them the speed-up is taken for linear.

    Returns:
        None if it is below 1 everywhere.
    """
    above: tuple[float, float] | None = None
    for keep, speedup in sorted(points, reverse=True):
        if speedup >= 1:
            if above is None:
                return keep
            return keep + (above[0] - keep) * (speedup - 1) / (speedup - above[1])
        above = keep, speedup
    return None


def run_harness(path: Path | None) -> dict[str, Any]:
    """Run the plugin library's test on the GPU, if it was built."""
    path = path or next(iter(sorted(ROOT.glob("build/**/test_plugin_on_gpu"))), None)
    if path is None:
        return {"result": "not built (make plugin)"}
    done = subprocess.run([path], capture_output=True, text=True, timeout=120)
    result = {0: "passed", 77: "skipped"}.get(done.returncode, f"failed ({done.returncode})")
    return {"result": result, "output": (done.stdout + done.stderr)[-2000:]}


def describe(device: str) -> dict[str, Any]:
    """Return what this ran on."""
    versions = {"adafuse-deploy": __version__, "torch": torch.__version__}
    try:
        import triton

        versions["triton"] = triton.__version__
    except ImportError:
        pass
    if device == "cpu":
        return {"device": "cpu", "machine": describe_machine(), "versions": versions}
    properties = torch.cuda.get_device_properties(0)
    versions |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return {
        "device": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_gb": properties.total_memory / 1e9,
        "machine": describe_machine(),
        "versions": versions,
    }


def page(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    tiny = report["tiny"]
    kind = "Tiny network" if tiny else "AdaFuse TSM ResNet-50"
    kind += ", float32" if report["device"] == "cpu" else ", fp16, channels last, CUDA graphs"
    lines = [f"# {report['device']}", ""]
    if report["device"] == "cpu":
        lines += [
            "A run without a GPU: kernels in Triton's interpreter, networks on the reference "
            "operators. No figure here says anything about speed.",
            "",
        ]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    worst = max(report["kernels"], key=lambda entry: entry["error"])
    lines += [
        f"{versions}. {report['seconds']:.0f} s.",
        "",
        f"- {len(report['kernels'])} convolutions by our kernels against float64: largest error "
        f"{worst['error']:.2f} of what is allowed ({worst['convolution']}, {worst['type']}, "
        f"{worst['layout']}).",
        f"- Logits of the network under the same policies, against float32 on the processor: "
        f"{report['logits_error']:.1e} of their RMS.",
        f"- TensorRT plugin library on the GPU: {report['plugin']['result']}.",
        "",
    ]
    for timed in report["networks"]:
        share = timed["break_even_keep"]
        rows = [
            [
                *(row["mix"], f"{row['keep']:.2f}", f"{row['fewer_macs']:.2f}"),
                *(f"{row['p50_ms']:.2f}", f"{row['p90_ms']:.2f}", f"{row['speedup']:.2f}"),
            ]
            for row in timed["adaptive"]
        ]
        lines += [
            f"## {timed['clips']} clips at a time",
            "",
            f"{kind}, policies drawn at random. Dense network: "
            f"median {timed['dense']['p50']:.2f} ms. Break-even: "
            + ("never faster." if share is None else f"{share:.0%} of channels kept."),
            "",
            table(["policies", "kept", "fewer MACs", "p50 ms", "p90 ms", "speed-up"], rows),
            "",
        ]
    return "\n".join(lines)


def failures(report: dict[str, Any]) -> list[str]:
    """Return what is wrong, in sentences."""
    wrong = [
        f"{entry['convolution']}, {entry['type']}, {entry['layout']}: error {entry['error']:.2f} "
        "of what is allowed."
        for entry in report["kernels"]
        if not entry["error"] < 1
    ]
    if not report["logits_error"] < MAX_LOGITS_ERROR:
        wrong.append(f"The network's logits err by {report['logits_error']:.1e} of their RMS.")
    if report["plugin"]["result"].startswith("failed"):
        wrong.append(f"The plugin library {report['plugin']['result']}.")
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes, to test this script")
    parser.add_argument("--output", type=Path, default=DOCS / "benchmarks" / "gpu")
    parser.add_argument("--plugin-harness", type=Path, help="test_plugin_on_gpu [in build/]")
    options = parser.parse_args(arguments)
    if options.device == "cpu":
        if not options.tiny:
            parser.error("--device cpu needs --tiny; an interpreter takes hours for the rest.")
        os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
        torch.set_num_threads(1)  # more only wait for each other
    elif not torch.cuda.is_available():
        print("PyTorch finds no NVIDIA GPU here.", file=sys.stderr)
        return 3
    start = time.perf_counter()
    torch.backends.cudnn.benchmark = True
    report: dict[str, Any] = {"tiny": options.tiny, **describe(options.device)}
    with torch.no_grad():
        shapes, frames = (TINY_SHAPES, 3) if options.tiny else (SHAPES, 8)
        report["kernels"] = check_kernels(options.device, shapes, frames)
        report["logits_error"] = check_network(options.tiny, options.device)
        report["networks"] = [
            time_networks(options.tiny, options.device, count, 3 if options.tiny else 50)
            for count in ((1, 2) if options.tiny else (1, 16))
        ]
    report["plugin"] = run_harness(options.plugin_harness)
    report["seconds"] = time.perf_counter() - start
    name = re.sub(r"[^a-z0-9]+", "-", report["device"].lower()).strip("-")
    options.output.mkdir(parents=True, exist_ok=True)
    write_text(options.output / f"{name}.json", json_text(report, indent=2) + "\n")
    write_text(options.output / f"{name}.md", page(report))
    print(page(report))
    for sentence in (wrong := failures(report)):
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
