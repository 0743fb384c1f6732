"""Networks: semantics of gates and shift, accounting, checkpoints."""

from __future__ import annotations

import pickle
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import Layer, clip_macs, dense_macs, layer_macs
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint import load_model, save_checkpoint
from adafuse_deploy.models.gate import fixed, gumbel, sampled
from adafuse_deploy.models.layers import temporal_shift
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import create_model, dense_counterpart, model_names

Make = Callable[..., VideoRecognizer]


def test_every_registered_model_builds_and_is_named_after_what_it_is() -> None:
    with torch.device("meta"):
        for name in model_names():
            config = create_model(name).config
            assert config.backbone == name.rsplit("_", 1)[1]
            assert config.gated == name.startswith("adafuse_")
            expected = {"tsn": "none", "tsm": "bidirectional"}
            system = name.removeprefix("adafuse_").split("_")[0]
            online = "_online_" in name
            assert config.temporal_shift == ("online" if online else expected[system])
            if "_last_" in name:
                assert config.gated_stages == (4,)


def test_shift_moves_channels_between_frames() -> None:
    x = torch.arange(2 * 3 * 8, dtype=torch.float32).reshape(6, 8, 1, 1)
    clips = x.reshape(2, 3, 8)
    both = temporal_shift(x, 3, "bidirectional", 8).reshape(2, 3, 8)
    online = temporal_shift(x, 3, "online", 8).reshape(2, 3, 8)
    for t in range(3):
        following = clips[:, t + 1, 0] if t < 2 else torch.zeros(2)
        earlier = clips[:, t - 1] if t > 0 else torch.zeros(2, 8)
        assert torch.equal(both[:, t, 0], following)
        assert torch.equal(both[:, t, 1], earlier[:, 1])
        assert torch.equal(both[:, t, 2:], clips[:, t, 2:])
        assert torch.equal(online[:, t, 0], earlier[:, 0])
        assert torch.equal(online[:, t, 1:], clips[:, t, 1:])
    assert temporal_shift(x, 3, "none", 8) is x


def _naive_bottleneck(block: nn.Module, x: Tensor, policy: Tensor) -> Tensor:
    """The block of the paper written out for T frames of one clip, one frame at a time."""
    raw = [F.relu(block.conv1.bn(block.conv1.conv(frame[None]))) for frame in x]
    outputs = []
    for t, frame in enumerate(x):
        fused = torch.zeros_like(raw[t])
        for channel in range(fused.shape[1]):
            action = int(policy[t, channel])
            if action == KEEP:
                fused[:, channel] = raw[t][:, channel]
            elif action == REUSE and t > 0:
                fused[:, channel] = raw[t - 1][:, channel]
        y = F.relu(block.conv2.bn(block.conv2.conv(fused)))
        y = block.conv3.bn(block.conv3.conv(y))
        shortcut = frame[None]
        if block.downsample is not None:
            shortcut = block.downsample.bn(block.downsample.conv(shortcut))
        outputs.append(F.relu(y + shortcut))
    return torch.cat(outputs)


def test_gated_bottlenecks_follow_the_paper_frame_by_frame(make_model: Make) -> None:
    model = make_model("adafuse_tsn_resnet50", size=32, width=0.125, num_segments=3, num_classes=4)
    clip = torch.randn(1, 3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = model(clip)
        x = F.max_pool2d(F.relu(model.backbone.conv1(clip[0])), 3, 2, 1)
        policies = iter(output.policies)
        for stage in range(1, 5):
            for block in getattr(model.backbone, f"layer{stage}"):
                x = _naive_bottleneck(block, x, next(policies)[0])
        expected = model.consensus.fc(x.mean((2, 3)))
    torch.testing.assert_close(output.frame_logits[0], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.logits[0], expected.mean(0), rtol=1e-4, atol=1e-5)
    for policy in output.policies:
        assert set(policy.unique().tolist()) == {KEEP, REUSE, SKIP}


@pytest.mark.parametrize(
    "name", ["adafuse_tsm_resnet18", "adafuse_tsn_resnet50", "adafuse_tsn_bninception"]
)
def test_soft_one_hot_weights_equal_hard_decisions(name: str, make_model: Make) -> None:
    """Training (weighted sums) and deployment (conditional operators) are the same function."""
    small = {} if "bninception" in name else {"width": 0.125, "dense_gates": True}
    model = make_model(name, size=32, num_segments=3, num_classes=4, **small)
    clip = torch.randn(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.manual_seed(0)
        soft = model(clip, gumbel(0.67))
        hard = [weights.argmax(-1) for weights in soft.policies]
        output = model(clip, fixed(hard))
        folded = model.deployed()(clip, fixed(hard))
    torch.testing.assert_close(soft.logits, output.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(folded.logits, output.logits, rtol=1e-4, atol=1e-5)


def test_all_keep_equals_the_dense_network(make_model: Make) -> None:
    model = make_model("adafuse_tsm_resnet50", size=32, width=0.125, num_segments=3, num_classes=4)
    dense = VideoRecognizer(dense_counterpart(model.config)).eval()
    weights = {k: v for k, v in model.state_dict().items() if ".gate" not in k}
    dense.load_state_dict(weights)
    clip = np.random.default_rng(0).standard_normal((2, 3, 3, 32, 32), np.float32)
    shapes = [policy.shape for policy in model.predict(clip).policies]
    keep = [torch.full(shape, KEEP) for shape in shapes]
    kept = model.predict(clip, fixed(keep))
    expected = dense.predict(clip)
    np.testing.assert_allclose(kept.logits, expected.logits, rtol=1e-4, atol=1e-5)
    assert expected.policies == []
    policy_networks = 3 * sum(layer.macs for layer in model.layers() if layer.policy)
    assert (kept.macs == expected.macs + policy_networks).all()
    assert expected.macs[0] == dense_macs(model.layers(), 3)


def test_macs_count_exactly_the_values_that_must_be_computed() -> None:
    """Against a count by hand over two gates: one over a first, one over a second convolution."""
    from adafuse_deploy.core.cost import ChannelGate

    rng = np.random.default_rng(5)
    first, second = (rng.integers(0, 3, (2, 4, channels), np.uint8) for channels in (6, 5))
    layers = [
        Layer("stem", "conv", 1000),
        Layer("a", "conv", 6 * 7 * 9, output=ChannelGate(0, 0, 6)),
        Layer("b", "conv", 5 * 6 * 9, output=ChannelGate(1, 0, 5), input=ChannelGate(0, 0, 6)),
        Layer("c", "conv", 3 * 2 * 4, output=ChannelGate(1, 1, 4)),
    ]
    expected = np.zeros((2, 4), int)
    for clip in range(2):
        for t in range(4):

            def needed(policy: np.ndarray, i: int, clip: int = clip, t: int = t) -> bool:
                reused = t < 3 and policy[clip, t + 1, i] == REUSE
                return bool(policy[clip, t, i] == KEEP or reused)

            inputs = sum(first[clip, t, i] != SKIP for i in range(6))
            expected[clip, 0] += 1000
            expected[clip, 1] += 7 * 9 * sum(needed(first, i) for i in range(6))
            expected[clip, 2] += 9 * inputs * sum(needed(second, i) for i in range(5))
            expected[clip, 3] += 2 * 4 * sum(needed(second, i) for i in (1, 2, 3))
    np.testing.assert_array_equal(layer_macs(layers, [first, second], 4), expected)
    np.testing.assert_array_equal(clip_macs(layers, [first, second], 4), expected.sum(1))
    for layer in layers:
        assert Layer.from_dict(layer.to_dict()) == layer


def test_sampling_follows_the_softmax_of_the_logits() -> None:
    logits = torch.tensor([2.0, 0.0, -1.0]).expand(1, 1, 40000, 3)
    drawn = sampled(torch.Generator().manual_seed(0))(logits)
    frequency = torch.bincount(drawn.flatten(), minlength=3) / drawn.numel()
    torch.testing.assert_close(frequency, logits[0, 0, 0].softmax(0), atol=0.01, rtol=0)


@pytest.mark.parametrize("consensus", ["average", "lstm"])
def test_checkpoints_restore_network_and_configuration(
    consensus: str, make_model: Make, tmp_path: Path
) -> None:
    model = make_model(
        "adafuse_tsm_resnet18", size=32, width=0.125, num_segments=4, num_classes=5,
        consensus=consensus, lstm_hidden=8,
    )  # fmt: skip
    save_checkpoint(model, tmp_path / "model.pt", accuracy=0.5)
    again = load_model(tmp_path / "model.pt")
    assert again.config == model.config
    clip = np.random.default_rng(0).standard_normal((1, 4, 3, 32, 32), np.float32)
    np.testing.assert_array_equal(again.predict(clip).logits, model.predict(clip).logits)


def test_a_checkpoint_that_does_not_fit_the_disk_is_not_written(
    tiny_model: VideoRecognizer, tmp_path: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(InputError, match="Cannot write"):
            save_checkpoint(tiny_model, tmp_path / "model.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


class _RunsCode:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return (print, ("this must never run",))


def test_bad_checkpoints_get_one_clear_sentence(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tiny_checkpoint.read_bytes()
    bad = tmp_path / "bad.pt"

    def message() -> str:
        with pytest.raises(InputError) as error:
            load_model(bad)
        return str(error.value)

    assert "There is no checkpoint" in message()
    bad.write_bytes(whole[: len(whole) // 2])
    assert "truncated" in message() or "not a readable checkpoint" in message()
    bad.write_bytes(b"not a checkpoint at all")
    assert "not a readable checkpoint" in message()
    bad.write_bytes(pickle.dumps({"state_dict": _RunsCode()}))
    assert "refused" in message()
    torch.save({"state_dict": _RunsCode()}, bad)
    assert "refused" in message()
    torch.save({"state_dict": {}}, bad)
    assert "holds no state_dict" in message()
    content = torch.load(tiny_checkpoint, weights_only=True)
    content["config"]["num_classes"] = 7
    content["config"]["class_names"] = []
    torch.save(content, bad)
    assert "consensus.fc.weight has shape (5, 64) instead of (7, 64)" in message()
    content["config"]["colour"] = "blue"
    torch.save(content, bad)
    assert "unknown fields ['colour']" in message()
    assert capsys.readouterr().out == ""


def test_wrong_clip_shapes_are_refused(tiny_model: VideoRecognizer) -> None:
    for shape in [(4, 3, 32, 32), (1, 5, 3, 32, 32), (1, 4, 1, 32, 32)]:
        with pytest.raises(InputError, match=r"Clips must have shape \(B, 4, 3, H, W\)"):
            tiny_model.predict(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    "values",
    [
        {"backbone": "vgg"},
        {"gated_stages": (5,)},
        {"backbone": "bninception", "gated_stages": (3,), "temporal_shift": "bidirectional"},
        {"num_classes": 3, "class_names": ("a", "b")},
        {"gate_hidden": 0},
        {"num_segments": 0},
    ],
)
def test_impossible_configurations_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ModelConfig(**values)  # type: ignore[arg-type]
