"""How Triton Inference Server runs a model for streams, replayed with ONNX Runtime.

What it does with state, written from its sources (``sequence_state.cc`` and
``sequence_batch_scheduler.cc`` of triton-inference-server/core): inputs and outputs are kept in
order of their names, and after a run the buffers of those at the same place are swapped.  State is
made when a sequence starts.  The strategy "oldest" batches requests of different sequences;
"direct" gives each sequence its place in the batch and fills the places between with null requests,
whose state is thrown away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

DTYPES = {model_config_pb2.TYPE_FP32: np.float32, model_config_pb2.TYPE_INT32: np.int32}
Buffers = dict[str, np.ndarray]


class Refused(Exception):
    """The server answers a request with an error."""


def read_config(folder: Path) -> Any:
    """Parse a model's configuration with Triton's own schema."""
    config = model_config_pb2.ModelConfig()
    text_format.Parse((folder / "config.pbtxt").read_text(), config)
    return config


def open_session(folder: Path, config: Any) -> onnxruntime.InferenceSession:
    """Open a graph as the backend for ONNX Runtime does, and check inputs and outputs as it does.

    Its sources: ``onnxruntime.cc`` of triton-inference-server/onnxruntime_backend.
    """
    options = onnxruntime.SessionOptions()
    for name in config.model_operations.op_library_filename:
        options.register_custom_ops_library(name)
    options.enable_mem_pattern = config.parameters["enable_mem_pattern"].string_value != "0"
    options.intra_op_num_threads = 1
    model = folder / "1" / config.default_model_filename
    session = onnxruntime.InferenceSession(str(model), options, ["CPUExecutionProvider"])
    states = config.sequence_batching.state
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = {value.name: value for value in session.get_outputs()}
    assert len(inputs) == len(config.input) + len(states)
    expected = [(inputs[entry.name], entry) for entry in config.input]
    expected += [(outputs[entry.name], entry) for entry in config.output]
    expected += [(inputs[entry.input_name], entry) for entry in states]
    expected += [(outputs[entry.output_name], entry) for entry in states]
    for value, entry in expected:
        assert (
            value.type
            == {np.float32: "tensor(float)", np.int32: "tensor(int32)"}[DTYPES[entry.data_type]]
        )
        shape = value.shape[1:] if config.max_batch_size else value.shape
        assert all(
            not isinstance(size, int) or size == wanted
            for size, wanted in zip(shape, entry.dims, strict=True)
        ), (entry.name, shape)
    return session


@dataclass
class Request:
    """The next frame of a sequence."""

    sequence: int
    frame: np.ndarray
    start: bool = False
    end: bool = False


@dataclass
class State:
    """The buffers of one sequence, each kept in the order of its names."""

    inputs: Buffers
    outputs: Buffers

    @classmethod
    def initial(cls, states: Sequence[Any]) -> State:
        inputs, outputs = {}, {}
        for state in states:
            (initial,) = state.initial_state
            assert initial.name and initial.zero_data and initial.data_type == state.data_type
            assert list(initial.dims) == list(state.dims) and min(state.dims) > 0
            dtype = DTYPES[state.data_type]
            inputs[state.input_name] = np.zeros((1, *initial.dims), dtype)
            outputs[state.output_name] = np.full((1, *state.dims), 77, dtype)  # not initialised
        return cls(dict(sorted(inputs.items())), dict(sorted(outputs.items())))

    def update(self, results: Buffers) -> None:
        """Take what a run gave and swap the buffers."""
        for given, taken in zip(self.outputs, self.inputs, strict=True):
            self.outputs[given] = results[given].copy()
            swapped = self.inputs[taken], self.outputs[given]
            self.outputs[given], self.inputs[taken] = swapped


@dataclass
class SequenceBatcher:
    """The scheduler of one instance.

    Args:
        folder: of the model in a repository.
        direct: the strategy "direct" instead of the configured "oldest".
    """

    folder: Path
    direct: bool = False
    config: Any = field(init=False)
    batch_sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = read_config(self.folder)
        self.session = open_session(self.folder, self.config)
        batching = self.config.sequence_batching
        count = self.config.max_batch_size
        if not self.direct:
            assert batching.WhichOneof("strategy_choice") == "oldest"
            count = batching.oldest.max_candidate_sequences
        self._slots: list[int | None] = [None] * count
        self._states: list[State | None] = [None] * count  # of a slot: left behind by who had it
        self._known: set[int] = set()

    def evict(self, sequence: int) -> None:
        """Forget a sequence that was silent for too long."""
        self._known.discard(sequence)
        self._slots[self._slots.index(sequence)] = None

    def serve(self, requests: Sequence[Request]) -> list[Buffers]:
        """Run requests in as few batches as the strategy allows, and return their outputs.

        Raises:
            Refused: the first request of a sequence does not start it.
        """
        waiting = deque(requests)
        for request in requests:
            if request.start:
                self._known.add(request.sequence)
            elif request.sequence not in self._known:
                raise Refused(f"sequence {request.sequence} must specify the START flag")
        answers: dict[int, Buffers] = {}
        while waiting:
            batch: dict[int, Request] = {}
            later: deque[Request] = deque()
            for request in waiting:
                slot = self._slot(request)
                taken = any(
                    entry.sequence == request.sequence for entry in (*batch.values(), *later)
                )
                if slot is None or taken or len(batch) == self.config.max_batch_size:
                    later.append(request)
                else:
                    batch[slot] = request
            assert batch, "all slots are taken by sequences that do not go on"
            for slot, results in self._run(batch).items():
                answers[id(batch[slot])] = results
                if batch[slot].end:
                    self._slots[slot] = None
                    self._known.discard(batch[slot].sequence)
            waiting = later
        return [answers[id(request)] for request in requests]

    def _slot(self, request: Request) -> int | None:
        if request.sequence in self._slots:
            return self._slots.index(request.sequence)
        if None not in self._slots:
            return None
        slot = self._slots.index(None)
        self._slots[slot] = request.sequence
        return slot

    def _run(self, batch: dict[int, Request]) -> dict[int, Buffers]:
        states = self.config.sequence_batching.state
        for slot, request in batch.items():
            if request.start:
                self._states[slot] = None
            self._states[slot] = self._states[slot] or State.initial(states)
        slots = list(range(max(batch) + 1)) if self.direct else list(batch)
        some = next(iter(batch.values()))
        rows: list[tuple[np.ndarray, State | None]] = []
        for slot in slots:
            if slot in batch:
                rows.append((batch[slot].frame, self._states[slot]))
            else:  # a null request: any content, and state that nobody initialised
                null = State.initial(states)
                for buffer in null.inputs.values():
                    buffer[:] = 77 if buffer.dtype == np.float32 else 1
                rows.append((some.frame, null))
        given = {"frame": np.concatenate([frame for frame, _ in rows])}
        for state in states:
            parts = [row.inputs[state.input_name] for _, row in rows if row is not None]
            given[state.input_name] = np.concatenate(parts)
        names = [value.name for value in self.session.get_outputs()]
        results = dict(zip(names, self.session.run(names, given), strict=True))
        self.batch_sizes.append(len(rows))
        answers = {}
        for place, slot in enumerate(slots):
            if slot in batch:
                own = {name: array[place : place + 1] for name, array in results.items()}
                state = self._states[slot]
                assert state is not None
                state.update(own)
                answers[slot] = own
        return answers


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A server of one model that speaks Triton's protocol, as far as the client needs it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._config = folder, read_config(folder)
        self._streams = self._config.HasField("sequence_batching")
        self.sequences: list[tuple[bool, bool]] = []
        if self._streams:
            self._batcher = SequenceBatcher(folder)
        else:
            self._session = open_session(folder, self._config)
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.url = f"localhost:{self._server.add_insecure_port('localhost:0')}"
        self._server.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(None)

    def ModelConfig(self, request: Any, context: Any) -> Any:
        assert request.name == self._folder.name
        return service_pb2.ModelConfigResponse(config=self._config)

    def ModelInfer(self, request: Any, context: Any) -> Any:
        (tensor,) = request.inputs
        assert tensor.datatype == "FP32"
        values = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(tensor.shape)
        names = [output.name for output in request.outputs]
        if self._streams:
            told = request.parameters
            start, end = told["sequence_start"].bool_param, told["sequence_end"].bool_param
            self.sequences.append((start, end))
            sequence = told["sequence_id"].int64_param
            assert sequence > 0
            (results,) = self._batcher.serve([Request(sequence, values, start, end)])
        else:
            results = dict(zip(names, self._session.run(names, {tensor.name: values}), strict=True))
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        for name in names:
            output = response.outputs.add(name=name, datatype="FP32")
            output.shape.extend(results[name].shape)
            response.raw_output_contents.append(results[name].tobytes())
        return response
