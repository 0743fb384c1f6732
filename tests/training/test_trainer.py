"""The loop: it learns, repeats itself, resumes exactly, and refuses what cannot work."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
import torch

from adafuse_deploy.errors import InputError
from adafuse_deploy.models.checkpoint import load_model, read_checkpoint
from adafuse_deploy.training.config import TrainingConfig
from adafuse_deploy.training.trainer import train

CONFIG = TrainingConfig(
    epochs=3,
    batch_size=6,
    lr=0.02,
    lr_schedule="cosine",
    flops_weight=0.5,
    argmax_epochs=1,
    keep="last",
    seed=3,
    device="cpu",
)


def _weights(path):
    return read_checkpoint(path)["state_dict"]


def _assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def _log(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows


class Interrupted(Exception):
    """Stands for a crash."""


def _interrupt_after(epoch):
    def report(line):
        if line.startswith(f"epoch {epoch}/"):
            raise Interrupted

    return report


@pytest.mark.parametrize("estimator", ["gumbel", "reinforce"])
def test_resuming_changes_nothing(estimator, make_model, train_set, val_set, tmp_path):
    config = replace(CONFIG, estimator=estimator)
    whole = train(make_model(), train_set, val_set, config, tmp_path / "whole.pt")
    out = tmp_path / "broken.pt"
    with pytest.raises(Interrupted):
        train(make_model(), train_set, val_set, config, out, report=_interrupt_after(2))
    torch.manual_seed(99)  # a new process has another random state
    resumed = train(make_model(), train_set, val_set, config, out, resume=True)
    _assert_same(_weights(whole.checkpoint), _weights(resumed.checkpoint))
    assert _log(whole.log) == _log(resumed.log)
    assert whole.evaluation == resumed.evaluation
    # A finished run has nothing left to do and says what it made.
    again = train(make_model(), train_set, val_set, config, out, resume=True)
    assert again.evaluation == whole.evaluation


def test_the_seed_decides(make_model, train_set, val_set, tmp_path):
    config = replace(CONFIG, epochs=1)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        settings = replace(config, seed=seed)
        train(make_model(), train_set, val_set, settings, tmp_path / f"{name}.pt")
    first = _weights(tmp_path / "a.pt")
    _assert_same(first, _weights(tmp_path / "b.pt"))
    other = _weights(tmp_path / "c.pt")
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_learning_and_what_is_written(make_model, clips, train_set, tmp_path):
    config = replace(CONFIG, epochs=6, flops_weight=1.0, gate_lr=20.0, argmax_epochs=2, keep="best")
    out = tmp_path / "model.pt"
    lines = []
    result = train(
        make_model(), train_set, clips(30, 4), config, out, notes={"seed": 3}, report=lines.append
    )
    assert len(lines) == 6 and "skip/reuse/keep" in lines[0]
    rows = _log(result.log)
    assert float(rows[-1]["cross_entropy"]) < 0.7 * float(rows[0]["cross_entropy"])
    assert float(rows[-1]["train_relative_flops"]) < float(rows[0]["train_relative_flops"])
    mix = [float(rows[-1][f"layer4.1.gate1/{action}"]) for action in ("skip", "reuse", "keep")]
    assert sum(mix) == pytest.approx(1, abs=1e-4)
    content = read_checkpoint(out)
    assert content["seed"] == 3 and content["epoch"] == result.epoch > 4
    assert content["evaluation"]["top1"] == result.evaluation.top1
    assert TrainingConfig.from_dict(content["training"]) == config
    assert not load_model(out).training


def test_the_flops_weight_may_be_per_gflops(make_model, train_set, val_set, tmp_path):
    layers = make_model().layers()
    gflops = sum(layer.macs for layer in layers if not layer.policy) / 1e9
    config = replace(CONFIG, epochs=1, flops_weight=200.0, flops_unit="gflops")
    train(make_model(), train_set, val_set, config, tmp_path / "gflops.pt")
    config = replace(config, flops_weight=200.0 * gflops, flops_unit="dense")
    train(make_model(), train_set, val_set, config, tmp_path / "dense.pt")
    _assert_same(_weights(tmp_path / "gflops.pt"), _weights(tmp_path / "dense.pt"))


def test_dense_networks_and_mixed_precision(make_model, train_set, val_set, tmp_path):
    config = replace(CONFIG, epochs=1, amp=True, optimizer="adamw", lr=1e-3)
    result = train(make_model("tsn_resnet18"), train_set, val_set, config, tmp_path / "dense.pt")
    assert result.evaluation.overall is None and result.evaluation.relative_flops == 1
    gated = train(make_model(), train_set, val_set, config, tmp_path / "gated.pt")
    assert gated.evaluation.overall is not None


def test_tensorboard_events(make_model, train_set, val_set, tmp_path):
    pytest.importorskip("tensorboard")
    config = replace(CONFIG, epochs=1, tensorboard=True)
    train(make_model(), train_set, val_set, config, tmp_path / "model.pt")
    assert list((tmp_path / "model.tensorboard").glob("events.*"))


def test_resuming_another_run_is_refused(make_model, train_set, val_set, tmp_path):
    out, config = tmp_path / "model.pt", replace(CONFIG, epochs=1)
    train(make_model(), train_set, val_set, config, out)
    before = out.read_bytes()
    with pytest.raises(InputError, match=r"lr \(0.02, now 0.5\).*seed \(3, now 8\)"):
        train(make_model(), train_set, val_set, replace(config, lr=0.5, seed=8), out, resume=True)
    with pytest.raises(InputError, match="gate_hidden"):
        train(make_model(gate_hidden=4), train_set, val_set, config, out, resume=True)
    (tmp_path / "model.state.pt").write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"model\.state\.pt"):
        train(make_model(), train_set, val_set, config, out, resume=True)
    assert out.read_bytes() == before


def test_what_cannot_work(make_model, train_set, val_set, tmp_path):
    out = tmp_path / "model.pt"
    with pytest.raises(InputError, match="fewer than a batch"):
        train(make_model(), train_set, val_set, replace(CONFIG, batch_size=25), out)
    with pytest.raises(InputError, match="no longer finite"):
        diverging = replace(CONFIG, lr=1e30, clip_norm=0)
        train(make_model(), train_set, val_set, diverging, out)
    with pytest.raises(InputError, match="device"):
        train(make_model(), train_set, val_set, replace(CONFIG, device="warp"), out)
    with pytest.raises(InputError, match="Cannot write"):
        missing = tmp_path / "missing" / "model.pt"
        train(make_model(), train_set, val_set, replace(CONFIG, epochs=1), missing)
    assert not out.exists()
