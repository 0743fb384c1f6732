"""The loop: it learns, repeats itself, resumes exactly, and refuses what cannot work."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
import torch
from torch.utils.data import TensorDataset

from adafuse_deploy.core.errors import InputError, NotFiniteError
from adafuse_deploy.models.checkpoint import load_model, read_checkpoint
from adafuse_deploy.models.pickles import load_pickle, write_pickle
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
    config = replace(CONFIG, epochs=1, flops_weight=200.0, flops_unit="gmacs")
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


def test_states_of_version_0_1_0_are_resumed(make_model, train_set, val_set, tmp_path):
    """They lack the settings that came later, whose former values a run must ask for."""
    former = replace(CONFIG, bias_lr=1.0, bias_decay=1.0, norm_decay=1.0, clip_apart=True)
    out = tmp_path / "model.pt"
    train(make_model(), train_set, val_set, replace(former, epochs=1), out)
    state = load_pickle(tmp_path / "model.state.pt")
    assert len(state["optimizer"]["param_groups"]) == 2  # backbone and gates, as it was then
    del state["epochs"]
    state["identity"]["training"]["epochs"] = 1
    for name in ("bias_lr", "bias_decay", "norm_decay", "clip_apart", "flops_unit"):
        del state["identity"]["training"][name]
    write_pickle(state, tmp_path / "model.state.pt")
    with pytest.raises(InputError, match=r"bias_lr \(1.0, now 2.0\)"):
        train(make_model(), train_set, val_set, CONFIG, out, resume=True)
    assert train(make_model(), train_set, val_set, former, out, resume=True).epoch == 3


@pytest.mark.parametrize("planned", [1, 2])
def test_a_run_that_gets_more_epochs_is_as_if_it_had_them_from_the_start(
    planned, make_model, train_set, val_set, tmp_path
):
    config = replace(CONFIG, lr_schedule="step", lr_steps=(2,), argmax_epochs=0, keep="last")
    whole = train(make_model(), train_set, val_set, config, tmp_path / "whole.pt")
    out, told = tmp_path / "more.pt", []
    train(make_model(), train_set, val_set, replace(config, epochs=planned), out)
    more = train(make_model(), train_set, val_set, config, out, resume=True, report=told.append)
    _assert_same(_weights(whole.checkpoint), _weights(more.checkpoint))
    assert _log(whole.log) == _log(more.log)
    assert told[0] == (
        f"Going on after epoch {planned} to epoch 3 instead of {planned}: as a run of that length "
        "would have from its start."
    )
    with pytest.raises(InputError, match="has finished 3 epochs already"):
        train(make_model(), train_set, val_set, replace(config, epochs=2), out, resume=True)


def test_more_epochs_of_a_cosine_say_that_the_rate_rises_again(
    make_model, train_set, val_set, tmp_path
):
    out, told = tmp_path / "model.pt", []
    train(make_model(), train_set, val_set, replace(CONFIG, epochs=2), out)
    longer = replace(CONFIG, epochs=4)
    result = train(make_model(), train_set, val_set, longer, out, resume=True, report=told.append)
    # Half a cosine over 4 epochs stands at half of 0.02 after 2; argmax policies come last.
    assert "had come to 0, is 0.01 again" in told[0] and "sampled up to epoch 3" in told[0]
    rates = [float(row["lr"]) for row in _log(result.log)]
    assert rates == pytest.approx([0.02, 0.01, 0.01, 0.01 * (1 - 0.5**0.5)], rel=1e-4)


class TestWhatIsThere:
    """A run, or another file, under the names of a new one."""

    @pytest.fixture
    def run(self, make_model, train_set, val_set, tmp_path):
        """Return a function that trains one epoch into model.pt."""
        out = tmp_path / "model.pt"

        def run(**options):
            config = replace(CONFIG, epochs=1, argmax_epochs=0)
            return train(make_model(), train_set, val_set, config, out, **options)

        return run

    @pytest.mark.parametrize("lost", [[], [".pt"], [".pt", ".csv"], [".state.pt", ".csv"]])
    def test_a_run_is_not_replaced_by_oversight(self, lost, run, tmp_path):
        run()
        for suffix in lost:
            (tmp_path / f"model{suffix}").unlink()
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(InputError, match=r"exists: go on with that run \(--resume\)"):
            run()
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_it_is_replaced_on_demand(self, run, tmp_path):
        run()
        (tmp_path / "model.pt").write_bytes(b"old")
        run(overwrite=True)
        assert read_checkpoint(tmp_path / "model.pt")["epoch"] == 1
        with pytest.raises(InputError, match="give one"):
            run(overwrite=True, resume=True)

    def test_a_replacing_run_that_is_killed_leaves_the_old_network_alone(self, run, tmp_path):
        run()
        before = (tmp_path / "model.pt").read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("adafuse_deploy.training.trainer.evaluate", _raise_interrupted)
            with pytest.raises(Interrupted):
                run(overwrite=True)
        assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]
        assert (tmp_path / "model.pt").read_bytes() == before
        with pytest.raises(
            InputError, match=r"model\.state\.pt, which a run goes on from, does not"
        ):
            run(resume=True)

    def test_another_table_is_not_taken_for_the_log(self, run, tmp_path):
        (tmp_path / "model.csv").write_text("video,label\n")
        for options in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(InputError, match=r"would replace .*model\.csv"):
                run(**options)
        assert (tmp_path / "model.csv").read_text() == "video,label\n"


def _raise_interrupted(*arguments, **options):
    raise Interrupted


class TestBreakdown:
    """A training that leaves the finite numbers stops, and what it made before stays."""

    def test_of_the_loss(self, make_model, train_set, val_set, tmp_path):
        config = replace(CONFIG, lr=1e30, clip_norm=0)
        with pytest.raises(NotFiniteError, match="In epoch 1 the loss became") as caught:
            train(make_model(), train_set, val_set, config, tmp_path / "model.pt")
        advice = str(caught.value)
        assert "--lr, now 1e+30" in advice and "clip gradients at all" in advice
        assert "--no-amp" not in advice and advice.endswith("Nothing was written.")
        assert not list(tmp_path.iterdir())

    def test_of_the_weights_after_the_last_step(self, make_model, clips, val_set, tmp_path):
        """The loss of the only step is measured before it breaks the weights."""
        config = replace(CONFIG, epochs=1, lr=1e38, weight_decay=1e3, batch_size=6, amp=True)
        with pytest.raises(NotFiniteError, match=r"In epoch 1 the weights \(.*\) became") as caught:
            train(make_model(), clips(6, 1), val_set, config, tmp_path / "model.pt")
        assert "below 20" in str(caught.value) and "--no-amp" in str(caught.value)
        assert not list(tmp_path.iterdir())

    def test_of_the_logits_keeps_the_last_good_checkpoint(
        self, make_model, train_set, val_set, tmp_path
    ):
        out = tmp_path / "model.pt"
        train(make_model(), train_set, val_set, replace(CONFIG, epochs=1), out)
        files = {path: path.read_bytes() for path in tmp_path.iterdir()}
        frames, labels = val_set.tensors
        impossible = TensorDataset(frames * torch.inf, labels)
        with pytest.raises(NotFiniteError, match="In epoch 2 the logits became") as caught:
            train(make_model(), train_set, impossible, CONFIG, out, resume=True)
        assert "model.pt keeps the network of epoch 1" in str(caught.value)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_what_cannot_work(make_model, train_set, val_set, tmp_path):
    out = tmp_path / "model.pt"
    with pytest.raises(InputError, match="fewer than a batch"):
        train(make_model(), train_set, val_set, replace(CONFIG, batch_size=25), out)
    with pytest.raises(InputError, match="device"):
        train(make_model(), train_set, val_set, replace(CONFIG, device="warp"), out)
    with pytest.raises(InputError, match="Cannot write"):
        missing = tmp_path / "missing" / "model.pt"
        train(make_model(), train_set, val_set, replace(CONFIG, epochs=1), missing)
    assert not out.exists()
