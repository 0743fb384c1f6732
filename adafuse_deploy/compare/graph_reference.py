"""A portable graph in plain ONNX Runtime as a reference, where the network is not at hand."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from adafuse_deploy.compare.reference import Expectation, margins
from adafuse_deploy.core.cost import clip_macs, gate_widths
from adafuse_deploy.core.finite import check_logits
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.engines.backends import BACKENDS
from adafuse_deploy.graph.given_policies import offer_policies
from adafuse_deploy.graph.read import read_graph

Arrays = dict[str, np.ndarray]
_OWN = -1


class GraphReference:
    """See :class:`~adafuse_deploy.compare.reference.Reference`.

    The graph runs on its function bodies, with an input more per gate for decisions that are given
    and an output more for its logits.  Stream graphs take clips frame by frame.

    Args:
        path: a portable graph.

    Raises:
        InputError, IncompatibleArtifactError: see :func:`~adafuse_deploy.graph.read.read_graph`.
        MissingDependencyError: ONNX Runtime is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        ort = BACKENDS["onnxruntime"].load()
        model, self._metadata = read_graph(path)
        self._name = os.fspath(path)
        guided = offer_policies(model, self._metadata)
        self._given, self._logits, self._features = guided.given, guided.logits, guided.features
        self._widths = gate_widths(self._metadata.layers)
        self._session = ort.InferenceSession(
            guided.model.SerializeToString(), providers=["CPUExecutionProvider"]
        )

    def run(self, frames: np.ndarray) -> Expectation:
        """Run clips under the graph's own decisions.

        Raises:
            NotFiniteError: the graph answers with NaN or infinity.
        """
        shape = frames.shape[:2]
        own = [np.full((*shape, width), _OWN, np.int32) for width in self._widths]
        return self.follow(frames, own)

    def follow(self, frames: np.ndarray, policies: Sequence[np.ndarray]) -> Expectation:
        """Run clips under given decisions.

        Raises:
            NotFiniteError: the graph answers with NaN or infinity.
        """
        given = [policy.astype(np.int32) for policy in policies]
        stream = self._metadata.mode == "stream"
        found = self._frame_by_frame(frames, given) if stream else self._at_once(frames, given)
        check_logits(found["logits"], self._name)
        outputs = self._metadata.outputs[2 - stream :][: len(given)]
        own = [found[name].astype(np.uint8) for name in outputs]
        macs = clip_macs(self._metadata.layers, own, frames.shape[1], len(frames))
        prediction = Prediction(found["logits"], found["frame_logits"], own, macs)
        shape = frames.shape[:2]
        return Expectation(
            prediction,
            [margins(found[name]) for name in self._logits],
            [found[name].reshape(*shape, -1) for name in self._features],
        )

    def _at_once(self, frames: np.ndarray, given: list[np.ndarray]) -> Arrays:
        return self._call({"frames": frames}, given)

    def _frame_by_frame(self, frames: np.ndarray, given: list[np.ndarray]) -> Arrays:
        """Return what a clip graph would give, put together of frames."""
        state = self._metadata.state
        history = {e.input: np.zeros((len(frames), *e.shape), e.dtype) for e in state}
        steps = []
        for t in range(frames.shape[1]):
            inputs = {"frame": np.ascontiguousarray(frames[:, t]), **history}
            found = self._call(inputs, [policy[:, t : t + 1] for policy in given])
            history = {entry.input: found.pop(entry.output) for entry in state}
            # Gates' logits have a dimension of one frame, (B, 1, C, A); the rest has none.
            whole = {n: v if n in self._logits else v[:, None] for n, v in found.items()}
            steps.append(whole)
        joined = {name: np.concatenate([step[name] for step in steps], 1) for name in steps[0]}
        joined["frame_logits"] = joined["logits"]
        last = self._metadata.config.accumulates
        joined["logits"] = joined["logits"][:, -1] if last else joined["logits"].mean(1)
        return joined

    def _call(self, inputs: Arrays, given: list[np.ndarray]) -> Arrays:
        names = [*self._metadata.outputs, *self._logits, *self._features]
        feeds = {**inputs, **dict(zip(self._given, given, strict=True))}
        return dict(zip(names, self._session.run(names, feeds), strict=True))
