"""Folders of clips on which engines failed, to be run again on any engine.

Beside ``failures.json`` a folder has a file of numpy's ``.npz`` per clip: ``frames`` float32
(T, 3, H, W); and of the reference, ``expected.``, and of each engine, ``engine_<i>.``, the arrays
``logits`` (K,), ``frame_logits`` (T, K) and ``policy_<gate>`` uint8 (T, C).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from adafuse_deploy import __version__
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import atomic_folder, check_new_folder
from adafuse_deploy.core.json_text import json_text, parse_json
from adafuse_deploy.core.metadata import policy_name
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.data.listed_clips import LabelledClip
from adafuse_deploy.verification.judgement import FailedClip

FORMAT, VERSION = "adafuse-deploy failures", 1
INDEX = "failures.json"
MOST = 32
"""Clips that are saved; a clip of 8 frames of 224 x 224 is 5 MB."""


class FailureFolder:
    """Saves failures as they come; the folder appears when the block ends, if there were any.

    Args:
        target: a new folder.
        gates: names of the gates in network order.
        engines: names of all engines that run.
        videos: where the clips come from, in their order; empty where they come from no files.
        record: plain values that go into the index too.

    Raises:
        InputError: the folder cannot be made.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        gates: Sequence[str],
        engines: Sequence[str],
        videos: Sequence[str] = (),
        record: Mapping[str, Any] | None = None,
    ) -> None:
        check_new_folder(target)
        self._target, self._gates, self._engines = target, gates, list(engines)
        self._videos = videos
        self._record = dict(record or {})
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._clips: dict[int, dict[str, Any]] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self._failed: set[int] = set()

    def __enter__(self) -> FailureFolder:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._folder is not None and error[0] is None:
            self._write_index(self._folder)
        self._stack.__exit__(*error)

    @property
    def summary(self) -> str:
        """What was saved, in a sentence."""
        if not self._failed:
            return f"No clip failed, so {self._target} was not made."
        count = f"{len(self._clips)} of {len(self._failed)} failing clips"
        return f"Saved {count} in {self._target}; 'verify --replay' runs them again."

    def add(self, failure: FailedClip) -> None:
        """Save a failure; of one clip they come one after another."""
        self._failed.add(failure.clip)
        if failure.clip not in self._clips:
            if len(self._clips) == MOST:
                return
            if self._folder is None:
                self._folder = self._stack.enter_context(atomic_folder(self._target))
            video = self._videos[failure.clip] if self._videos else None
            self._clips[failure.clip] = {
                "file": f"clip_{failure.clip:06d}.npz",
                "clip": failure.clip,
                "video": video,
                "label": failure.label,
                "failures": [],
            }
            self._arrays = {
                "frames": failure.frames[0],
                **_arrays("expected", failure.expected.prediction),
            }
        entry = self._clips[failure.clip]
        prefix = f"engine_{self._engines.index(failure.engine)}"
        if failure.got is not None:
            self._arrays |= _arrays(prefix, failure.got)
        flip = failure.flip
        entry["failures"].append(
            {
                "engine": failure.engine,
                "arrays": prefix if failure.got is not None else None,
                "reasons": list(failure.reasons),
                "clearest_flip": None
                if flip is None
                else {
                    "gate": self._gates[flip.gate],
                    "frame": flip.frame,
                    "channel": flip.channel,
                    "margin": flip.margin,
                },
            }
        )
        assert self._folder is not None
        np.savez_compressed(self._folder / entry["file"], **self._arrays)  # type: ignore[arg-type]

    def _write_index(self, folder: Path) -> None:
        values = {
            "format": FORMAT,
            "version": VERSION,
            "tool_version": __version__,
            **self._record,
            "gates": list(self._gates),
            "engines": self._engines,
            "failed_clips": len(self._failed),
            "clips": list(self._clips.values()),
        }
        (folder / INDEX).write_text(json_text(values, indent=2) + "\n", encoding="utf-8")


def _arrays(prefix: str, prediction: Prediction) -> dict[str, np.ndarray]:
    policies = {policy_name(g): policy[0] for g, policy in enumerate(prediction.policies)}
    named = {
        "logits": prediction.logits[0],
        "frame_logits": prediction.frame_logits[0],
        **policies,
    }
    return {f"{prefix}.{name}": values for name, values in named.items()}


class SavedClips(Sequence[LabelledClip]):
    """The clips of a folder that :class:`FailureFolder` made.

    Args:
        folder: the folder.
        shape: (T, 3, H, W) of the network that is to run them.

    Attributes:
        entries: per clip what the index says of it.
        engines: names of all engines that ran when it was made.

    Raises:
        InputError: there is no such folder, it is damaged, or its clips are of another shape.
    """

    def __init__(self, folder: str | os.PathLike[str], shape: Sequence[int]) -> None:
        self._folder, self._shape = Path(folder), tuple(shape)
        index = self._folder / INDEX
        if not index.is_file():
            raise InputError(
                f"{folder} has no {INDEX}; give a folder that 'verify --save-failures' made."
            )
        try:
            values = parse_json(index.read_text("utf-8"))
            if (values["format"], values["version"]) != (FORMAT, VERSION):
                raise ValueError(f"its version is {values['version']}, not {VERSION}")
            self.entries: list[dict[str, Any]] = values["clips"]
            self.engines: list[str] = [str(name) for name in values["engines"]]
            self._files = [str(entry["file"]) for entry in self.entries]
            self._labels = [entry["label"] for entry in self.entries]
            self._said = [
                {str(f["engine"]): [str(r) for r in f["reasons"]] for f in entry["failures"]}
                for entry in self.entries
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{index} cannot be read ({error}); save the failures again."
            ) from error

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> LabelledClip:  # type: ignore[override]
        path = self._folder / Path(self._files[index]).name
        try:
            with np.load(path, allow_pickle=False) as arrays:
                frames = arrays["frames"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path} cannot be read ({error}); save the failures again."
            ) from error
        if frames.shape != self._shape or frames.dtype != np.float32:
            raise InputError(
                f"{path} holds {frames.dtype} {frames.shape}, and the network takes clips float32 "
                f"{self._shape}; replay it on a network of the same input."
            )
        return frames, self._labels[index]

    def saved(self, index: int) -> dict[str, list[str]]:
        """Return which engines failed on a clip, and why, when it was saved."""
        return self._said[index]

    def name(self, index: int) -> str:
        """Return a clip in words."""
        entry = self.entries[index]
        return f"clip {entry.get('clip')}" + (f" ({entry['video']})" if entry.get("video") else "")
