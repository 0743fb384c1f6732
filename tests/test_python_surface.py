"""What somebody meets who explores the package in a Python shell."""

from __future__ import annotations

import pydoc
from pathlib import Path

import numpy as np

import adafuse_deploy
from adafuse_deploy.models.recognizer import VideoRecognizer


def test_dir_and_help_show_the_public_names() -> None:
    shown = {name for name in dir(adafuse_deploy) if not name.startswith("__")}
    assert shown == set(adafuse_deploy.__all__)
    text = pydoc.render_doc(adafuse_deploy, renderer=pydoc.plaintext)
    missing = [name for name in adafuse_deploy.__all__ if name not in text]
    assert not missing
    assert "class Engine(" in text and "load_engine(" in text


def test_the_package_says_that_it_is_typed() -> None:
    # An editable install has two folders: the sources and what was built.
    assert any(Path(folder, "py.typed").is_file() for folder in adafuse_deploy.__path__)


def test_reprs_are_short_and_say_what_a_thing_is(
    tiny_model: VideoRecognizer, tiny_graph: Path, tiny_clips: np.ndarray
) -> None:
    network = "AdaFuse TSM resnet18 x 0.125 of 2+1+1+1 blocks, 4 frames of 32 x 32, 5 classes"
    assert repr(tiny_model.config) == f"<ModelConfig: {network}>"
    with adafuse_deploy.load_engine(tiny_graph, operator_library=False) as engine:
        assert repr(engine.metadata) == f"<GraphMetadata: {network}, clip, fp32>"
        assert repr(engine) == f"<OnnxRuntimeEngine: {network}, clip, fp32; onnxruntime>"
        prediction = engine.run(tiny_clips)
    assert repr(engine).endswith("onnxruntime, closed>")
    best = ", ".join(str(row.argmax()) for row in prediction.logits)
    gmacs = prediction.macs.mean() / 1e9
    assert repr(prediction) == (
        f"<Prediction: 3 x 5 classes, best {best}; 5 gates, {gmacs:.4g} GMACs per clip>"
    )


def test_one_clip_of_a_prediction(tiny_graph: Path, tiny_clips: np.ndarray) -> None:
    with adafuse_deploy.load_engine(tiny_graph, operator_library=False) as engine:
        together, alone = engine.run(tiny_clips), engine.run(tiny_clips[-1:])
    last = together[-1]
    assert len(together) == 3 and len(last) == 1
    np.testing.assert_allclose(last.logits, alone.logits, rtol=1e-5, atol=1e-6)
    assert last.frame_logits.shape == (1, 4, 5)
    for ours, theirs in zip(last.policies, alone.policies, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(last.macs, alone.macs)
