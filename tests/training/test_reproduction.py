"""The reproduction script: its plan is sound and its report says what the figures say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import reproduce
from reproduction_report import write_report


def _result(job, top1, share):
    mix = {"skip": 0.5, "reuse": 0.2, "keep": 0.3}
    gates = [{"name": f"layer{i}.0.gate1", **mix, "reuse": 0.2 + i / 100} for i in range(4)]
    test = {
        "top1": top1 + job.seed,
        "gmacs": 0.01 * share,
        "relative_flops": share,
        "overall": mix if job.system.startswith("adafuse") else None,
        "gates": gates if job.system.startswith("adafuse") else [],
    }
    return {
        "system": job.system,
        "seed": job.seed,
        "flops_weight": job.flops_weight,
        "first": job.first,
        "seconds": 1,
        "sampled": job.sampled,
        "test": test,
        "test_sampled": {**test, "top1": 12.5},
    }


def test_every_run_has_its_parent_and_they_differ():
    jobs = reproduce.all_jobs(reproduce.SEEDS)
    assert len({job.name for job in jobs}) == len(jobs)
    assert all(job.parent is None or job.parent in jobs for job in jobs)


def test_only_the_flops_term_tells_gated_from_dense_training():
    setting = reproduce.Setting()
    dense = reproduce.training_config(reproduce.Job("tsm", 1), setting).to_dict()
    gated = reproduce.training_config(reproduce.Job("adafuse_tsm", 1, 0.5), setting).to_dict()
    differ = {name for name in dense if dense[name] != gated[name]}
    assert differ == {"gate_lr", "argmax_epochs", "flops_weight", "flops_warmup_epochs"}


def test_the_report(tmp_path):
    figures = {
        "tsn": (40.0, 1.0),
        "tsm": (90.0, 1.0),
        "adafuse_tsn": (70.0, 0.6),
        "adafuse_tsm": (88.0, 0.5),
        "adafuse_tsm_last": (90.6, 0.9),
    }
    jobs = reproduce.all_jobs(reproduce.SEEDS)
    results = [_result(job, *figures[job.system]) for job in jobs]
    report = write_report(results, reproduce.GATING, reproduce.Setting(), tmp_path)
    text = report.read_text()
    verdicts = [line for line in text.splitlines() if line.startswith("- ")]
    assert ["does not hold" in line for line in verdicts] == [False, True, False]
    assert "Difference +30.00 points" in verdicts[0] and "60.0 %" in verdicts[0]
    assert "| TSM | - | - | 91.0 ± 1.0 | 10.00 ± 0.00 | 100.0 % | - |" in text
    assert "| AdaFuse TSM | +0.00 | +1.00 | +0.00 |" in text  # trends with depth
    assert "| 100 % | 88.5 ± 0.7 | 50.0 % | 12.5 ± 0.0 | 50.0 % | 2 |" in text
    assert all((tmp_path / name).exists() for name in ("curve.png", "policies.png", "results.json"))
