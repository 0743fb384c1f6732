"""Accuracy, FLOPs and mixes against straightforward recounts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from adafuse_deploy.assets import SHIPPED
from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.cost import dense_macs, official_gflops
from adafuse_deploy.core.errors import InputError, NotFiniteError
from adafuse_deploy.evaluation.result import Evaluation
from adafuse_deploy.models.checkpoint import read_checkpoint
from adafuse_deploy.models.gate import sampled
from adafuse_deploy.training.evaluation import evaluate


def test_against_one_prediction_of_everything(make_model, clips):
    model, data = make_model(num_classes=8), clips(10, 7)
    frames, labels = data.tensors
    result = evaluate(model, data, batch_size=4)
    prediction = model.predict(frames)
    order = np.argsort(-prediction.logits, 1)
    hits = order == labels.numpy()[:, None]
    assert result.clips == 10
    assert result.top1 == pytest.approx(100 * hits[:, 0].mean())
    assert result.top5 == pytest.approx(100 * hits[:, :5].any(1).mean())
    assert result.gmacs == pytest.approx(prediction.macs.mean() / 1e9)
    official = official_gflops(model.layers(), prediction.policies).mean()
    assert result.official_gflops == pytest.approx(official)
    assert result.dense_gmacs == pytest.approx(dense_macs(model.layers(), 4) / 1e9)
    assert [gate.name for gate in result.gates][:2] == ["layer1.0.gate1", "layer1.1.gate1"]
    for gate, policy in zip(result.gates, prediction.policies, strict=True):
        shares = [(policy == action).mean() for action in (SKIP, REUSE, KEEP)]
        assert [gate.skip, gate.reuse, gate.keep] == pytest.approx(shares)
    everything = np.concatenate([policy.ravel() for policy in prediction.policies])
    assert result.overall.skip == pytest.approx((everything == SKIP).mean())
    assert Evaluation.from_dict(result.to_dict()) == result


def test_sampling_has_a_seed(make_model, clips):
    model, data = make_model(), clips(6, 7)
    first, again, other = (
        evaluate(model, data, sampled=True, seed=seed, batch_size=6) for seed in (1, 1, 2)
    )
    assert first == again != other
    expected = model.predict(data.tensors[0], sampled(torch.Generator().manual_seed(1)))
    assert first.gmacs == pytest.approx(expected.macs.mean() / 1e9)


def test_dense_networks_cost_the_same_for_every_clip(make_model, clips):
    result = evaluate(make_model("tsm_resnet18"), clips(5, 7), batch_size=2)
    assert result.overall is None and result.gates == ()
    assert result.gmacs == result.dense_gmacs
    assert Evaluation.from_dict(result.to_dict()) == result


def test_impossible_sets(make_model, clips):
    frames, labels = clips(3, 1).tensors
    with pytest.raises(InputError, match="no clips"):
        evaluate(make_model(), TensorDataset(frames[:0], labels[:0]))
    with pytest.raises(InputError, match="label 7"):
        evaluate(make_model(), TensorDataset(frames, labels + 5))


def test_figures_of_the_first_version_are_read():
    """The shipped checkpoint was written when GMACs were called GFLOPs."""
    recorded = read_checkpoint(SHIPPED)["evaluation"]
    result = Evaluation.from_dict(recorded)
    assert result.gmacs == pytest.approx(0.02909, abs=1e-5)  # adafuse_deploy/assets/README.md
    assert result.dense_gmacs == pytest.approx(0.08849, abs=1e-5)
    assert result.relative_flops == pytest.approx(0.329, abs=1e-3)


def test_a_network_without_finite_answers_has_no_accuracy(make_model, clips):
    model = make_model()
    with torch.no_grad():
        model.consensus.fc.bias[1] = torch.nan
    with pytest.raises(NotFiniteError, match="NaN or infinite logits"):
        evaluate(model, clips(3, 1))
