"""A program that knows the C functions alone, by ctypes: GRAPH CLIPS.npy ANSWERS.npz.

The library is LIBRARY; of a stream graph the first clip's frames are pushed one by one as well.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int64, c_size_t, c_uint8, c_void_p

import numpy as np

library = ctypes.CDLL(os.environ["LIBRARY"])
for name, kind in {
    "adafuse_error": c_char_p,
    "adafuse_version": c_char_p,
    "adafuse_engine_name": c_char_p,
    "adafuse_engine_mode": c_char_p,
    "adafuse_engine_label": c_char_p,
    "adafuse_engine_gate": c_char_p,
    "adafuse_engine_classes": c_size_t,
    "adafuse_engine_frames": c_size_t,
    "adafuse_engine_size": c_size_t,
    "adafuse_engine_frame_spacing": c_double,
    "adafuse_engine_gates": c_size_t,
    "adafuse_prediction_count": c_size_t,
    "adafuse_prediction_frames": c_size_t,
    "adafuse_prediction_logits": POINTER(c_float),
    "adafuse_prediction_frame_logits": POINTER(c_float),
    "adafuse_prediction_macs": POINTER(c_int64),
    "adafuse_prediction_policy": POINTER(c_uint8),
}.items():
    getattr(library, name).restype = kind


class EngineOptions(ctypes.Structure):
    """``adafuse_engine_options``."""

    _fields_ = (
        ("size", c_size_t),
        ("plain", ctypes.c_int),
        ("operator_library", c_char_p),
        ("threads", ctypes.c_int),
    )


def done(status: int) -> None:
    if status:
        sys.exit(f"{status} {library.adafuse_error().decode()}")


def call(name: str, *arguments: object) -> None:
    done(getattr(library, name)(*arguments))


def answers(engine: c_void_p, prediction: c_void_p) -> dict[str, np.ndarray]:
    """Return the arrays of a prediction, which is freed."""
    count = library.adafuse_prediction_count(prediction)
    frames = library.adafuse_prediction_frames(prediction)
    classes = library.adafuse_engine_classes(engine)

    def array(pointer: object, *shape: int) -> np.ndarray:
        return np.ctypeslib.as_array(pointer, shape).copy()

    result = {
        "logits": array(library.adafuse_prediction_logits(prediction), count, classes),
        "frame_logits": array(
            library.adafuse_prediction_frame_logits(prediction), count, frames, classes
        ),
        "macs": array(library.adafuse_prediction_macs(prediction), count),
        "probabilities": np.empty((count, classes), np.float32),
    }
    for index, row in enumerate(result["probabilities"]):
        call(
            "adafuse_prediction_probabilities",
            prediction,
            c_size_t(index),
            c_void_p(row.ctypes.data),
        )
    for gate in range(library.adafuse_engine_gates(engine)):
        channels = c_size_t()
        policy = library.adafuse_prediction_policy(prediction, c_size_t(gate), byref(channels))
        result[f"policy_{gate}"] = array(policy, count, frames, channels.value)
    assert not library.adafuse_prediction_policy(prediction, c_size_t(gate + 1), None)
    library.adafuse_prediction_free(prediction)
    return result


def main(graph: str, clips_path: str, target: str) -> None:
    engine = c_void_p()
    options = EngineOptions(ctypes.sizeof(EngineOptions), threads=1)
    call("adafuse_engine_load", graph.encode(), byref(options), byref(engine))
    clips = np.ascontiguousarray(np.load(clips_path), np.float32)
    size = library.adafuse_engine_size(engine)
    assert clips.shape[1:] == (library.adafuse_engine_frames(engine), 3, size, size)
    assert library.adafuse_engine_frame_spacing(engine) == 0  # which the graph does not know
    prediction = c_void_p()
    call(
        "adafuse_run", engine, c_void_p(clips.ctypes.data), c_size_t(len(clips)), byref(prediction)
    )
    found = answers(engine, prediction)
    if library.adafuse_engine_mode(engine) == b"stream":
        stream = c_void_p()
        call("adafuse_stream_open", engine, None, byref(stream))
        for turn in ("first", "again"):
            for i, frame in enumerate(clips[0]):
                call("adafuse_stream_push", stream, c_void_p(frame.ctypes.data), byref(prediction))
                found[f"{turn}_{i}"] = answers(engine, prediction)["logits"]
            call("adafuse_stream_reset", stream, c_size_t(-1))
        library.adafuse_stream_free(stream)
    labels = [
        library.adafuse_engine_label(engine, c_size_t(i)).decode()
        for i in range(library.adafuse_engine_classes(engine))
    ]
    assert library.adafuse_engine_label(engine, c_size_t(len(labels))) is None
    name = library.adafuse_engine_name(engine).decode()
    library.adafuse_engine_free(engine)
    library.adafuse_engine_free(None)
    version = library.adafuse_version().decode()
    np.savez(target, labels=labels, name=name, version=version, **found)


main(*sys.argv[1:])
