"""Train and measure the checkpoint that the package ships.

    python scripts/make_checkpoint.py

runs three trainings of recipes/synthetic_adafuse_tsm_resnet18.yaml: a dense network, AdaFuse from
it, and the dense network on for as long, for a fair comparison.  Finished parts are kept in runs/.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from adafuse_deploy.assets import SHIPPED
from adafuse_deploy.cli import adafuse_deploy
from adafuse_deploy.data.dataset import SyntheticClips
from adafuse_deploy.evaluation.result import Evaluation
from adafuse_deploy.models.checkpoint import load_model, read_checkpoint, save_checkpoint
from adafuse_deploy.training.evaluation import evaluate

RECIPE = "recipes/synthetic_adafuse_tsm_resnet18.yaml"
DENSE, LONGER, GATED = "runs/dense.pt", "runs/dense_longer.pt", "runs/adafuse.pt"
COMMANDS = (
    f"train --recipe {RECIPE} --model tsm_resnet18 --lr 0.05 -o {DENSE}",
    f"train --recipe {RECIPE} --init {DENSE} -o {GATED}",
    f"train --recipe {RECIPE} --model tsm_resnet18 --init {DENSE} -o {LONGER}",
)
TEST_SEED, TEST_CLIPS = 2, 2400  # neither trained on nor looked at in training


def main() -> None:
    """Train what is missing, measure on the test set, and write the checkpoint."""
    Path("runs").mkdir(exist_ok=True)
    for command in COMMANDS:
        words = [*shlex.split(command), "--resume"]
        adafuse_deploy.main(words, obj=words, standalone_mode=False)
    model = load_model(GATED)
    preprocessing = model.config.preprocessing
    clips = SyntheticClips(TEST_CLIPS, model.config.num_segments, preprocessing, seed=TEST_SEED)
    gated, dense = evaluate(model, clips), evaluate(load_model(LONGER), clips)
    content = read_checkpoint(GATED)
    save_checkpoint(
        model,
        SHIPPED,
        training=content["training"],
        seed=content["seed"],
        commands=[f"adafuse-deploy {command}" for command in COMMANDS],
        test_set=f"{TEST_CLIPS} procedural videos of 64 x 64, seed {TEST_SEED}",
        evaluation=gated.to_dict(),
        dense=dense.to_dict(),
    )
    for name, result in (("AdaFuse", gated), ("dense", dense)):
        print(_line(name, result))
    print(f"Wrote {SHIPPED}.\nNext: adafuse-deploy export {SHIPPED} -o model.onnx")


def _line(name: str, result: Evaluation) -> str:
    return f"{name}: top-1 {result.top1:.2f} %, {1000 * result.gmacs:.2f} MMACs per clip"


if __name__ == "__main__":
    sys.exit(main())
