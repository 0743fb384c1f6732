"""Loading a checkpoint of other code: its weights, the options of its run, and what the user says.

Such a file holds weights alone.  What keys and shapes tell is inferred; the rest is in the options
that the public code leaves beside its checkpoints, or is said by the user, or assumed and told.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adafuse_deploy.core.config import ModelConfig, preprocessing_for
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint import check_fit, is_ours, listing, load_weights
from adafuse_deploy.models.checkpoint_file import load_content
from adafuse_deploy.models.foreign import ADAFUSE, MMACTION2, ForeignWeights, foreign_weights
from adafuse_deploy.models.official.arguments import find_arguments, read_arguments
from adafuse_deploy.models.official.gates import Gate, blocks_of, find_gates
from adafuse_deploy.models.official.names import convert_weights, has_shared_layers
from adafuse_deploy.models.official.options import Statement, state
from adafuse_deploy.models.recognizer import VideoRecognizer

OFFICIAL_QUOTA = 196608


@dataclass(frozen=True)
class OfficialCheckpoint:
    """A checkpoint of other code, loaded.

    Attributes:
        model: the network, in evaluation mode.
        arguments: the file of options that was read, or "".
        assumed: what nothing told, in words.
    """

    model: VideoRecognizer
    arguments: str
    assumed: tuple[str, ...]

    def __str__(self) -> str:
        read = f"options from {self.arguments}; " if self.arguments else ""
        return f"{read}assumed: {', '.join(self.assumed) or 'nothing'}"


def load_official(path: str | os.PathLike[str], **said: Any) -> VideoRecognizer:
    """Load a checkpoint of other code, in evaluation mode; see :func:`read_official`."""
    return read_official(path, **said).model


def read_official(
    path: str | os.PathLike[str],
    *,
    arguments: str | os.PathLike[str] | None = None,
    temporal_shift: bool | None = None,
    shift_div: int | None = None,
    gate_relu: bool | None = None,
    gate_pooling: str | None = None,
    num_segments: int | None = None,
    size: int | None = None,
    class_names: tuple[str, ...] = (),
    guess_shift: bool = False,
    content: object = None,
) -> OfficialCheckpoint:
    """Load a checkpoint of other code and say what was assumed.

    The public AdaFuse code, TSM's and mmaction2 (TSN and TSM on a ResNet) are recognised by the
    names in the file.

    Args:
        path: the ``.pth.tar`` or ``.pth`` file.
        arguments: the options of its run; by default ``args.txt`` beside the checkpoint, or beside
            the folder ``models`` that it lies in.
        temporal_shift: it was trained with ``--shift`` (TSM), or was not.
        shift_div: as in :class:`~adafuse_deploy.core.config.ModelConfig`; 8 if nothing tells.
        gate_relu, gate_pooling: the same; ReLU and "average" if nothing tells.
        num_segments: frames per clip; 8 if nothing tells.
        size: side of the square input in pixels; 224 by default.
        class_names: names of the classes, if known.
        guess_shift: assume that there is no temporal shift if nothing tells.
        content: what :func:`~adafuse_deploy.models.checkpoint_file.load_content` gave for the file,
            if it was read before.

    Raises:
        InputError: the file is no such checkpoint; keys are missing, surplus or misshapen (all of
            them listed); an option of its run has no counterpart here; weights, options and
            arguments contradict each other; or nothing tells whether frames are shifted.
    """
    content = load_content(path) if content is None else content
    if is_ours(content):
        raise InputError(
            f"{path} is a checkpoint of adafuse-deploy; it is used as it is, without --official or "
            "convert."
        )
    foreign = foreign_weights(content, str(path))
    if foreign.classes is None:
        raise InputError(
            f"{path} has no classifier of actions: it is {foreign}, from which 'train --init' can "
            "begin."
        )
    if arguments is None and foreign.code != MMACTION2:
        arguments = find_arguments(path)
    statement = None if arguments is None else state(read_arguments(arguments), str(arguments))
    num_segments = foreign.told.get("num_segments") if num_segments is None else num_segments
    shift_div = foreign.told.get("shift_div") if shift_div is None else shift_div
    choices = _Choices(statement)
    gates = find_gates(foreign.tensors, foreign.backbone)
    fields = _fields(foreign, gates)
    if statement is not None:
        _compare(statement, foreign, gates, fields, str(path))
        fields["dropout"] = statement.facts["dropout"].value
        if gates:
            fields |= statement.facts["hidden"].value
    shift = _shift(choices, foreign, temporal_shift, shift_div)
    fields |= _unseen(choices, foreign, gates, gate_relu, gate_pooling)
    fields["num_segments"] = choices.take("num_segments", num_segments, 8, "{} frames")
    size = choices.take("size", size, 224, "{} pixels")
    if foreign.backbone == "bninception" and size != 224:
        raise InputError("Official BN-Inception checkpoints take 224 x 224 only; use --size 224.")
    config = ModelConfig(
        **fields,
        **(shift or {"temporal_shift": "none"}),
        preprocessing=preprocessing_for(foreign.backbone, size),
        class_names=class_names,
    )
    model = _loaded(config, convert_weights(foreign.tensors), f"{path}, {foreign},")
    if shift is None and not guess_shift:
        raise InputError(
            f"Nothing tells whether {path} was trained with a temporal shift: give "
            "--temporal-shift (TSM, --shift of the public code) or --no-temporal-shift (TSN), or "
            "the options of its run with --args RUN/args.txt."
        )
    return OfficialCheckpoint(model, str(arguments or ""), tuple(choices.assumed))


_OPTIONS = {
    "shift": {True: "--temporal-shift", False: "--no-temporal-shift"},
    "gate_relu": {True: "--gate-relu", False: "--no-gate-relu"},
}


class _Choices:
    """Settles what keys cannot tell: the run's options say it, or the user, or it is assumed.

    Attributes:
        assumed: in words.
    """

    def __init__(self, statement: Statement | None) -> None:
        self._statement = statement
        self.assumed: list[str] = []

    def take(self, field: str, said: Any, default: Any, words: str) -> Any:
        """Return the value of a field.

        Args:
            field: as in :class:`~adafuse_deploy.models.official.options.Statement`.
            said: by the user, or None.
            default: to assume.
            words: for that, with {} for the value.

        Raises:
            InputError: user and options contradict each other.
        """
        fact = self._statement.facts.get(field) if self._statement else None
        if fact is None:
            if said is None:
                self.assumed.append(words.format(default))
                return default
            return said
        if said not in (None, fact.value):
            assert self._statement is not None
            option = _OPTIONS.get(field, {}).get(said, f"--{field.replace('_', '-')} {said}")
            raise InputError(
                f"{option} contradicts {self._statement.source}, which says {fact.said}; leave it "
                "out, or give the right file with --args."
            )
        return fact.value


def _fields(foreign: ForeignWeights, gates: list[Gate]) -> dict[str, Any]:
    """Return the fields of the configuration that keys and shapes tell."""
    classifier = foreign.tensors["new_fc.weight"]
    if classifier.dim() != 2:
        raise InputError(f"The classifier has shape {tuple(classifier.shape)}; it is damaged.")
    fields: dict[str, Any] = {
        "backbone": foreign.backbone,
        "num_classes": len(classifier),
        "gated_stages": _gated_stages(gates, foreign.backbone),
        "width": _width(foreign),
    }
    if not gates:
        return fields
    first = gates[0]
    for gate in gates:
        kinds = [(g.actions, g.layers, g.norm) for g in (first, gate)]
        if kinds[0] != kinds[1]:
            raise InputError(
                f"The policy networks {first.name} and {gate.name} are of different kinds; the "
                "checkpoint is damaged."
            )
    return fields | {
        "dense_gates": any(gate.name.endswith("policy_net2") for gate in gates),
        "gate_actions": first.actions,
        "gate_layers": first.layers,
        "gate_norm": first.norm,
        "shared_policy": first.layers == 2 and has_shared_layers(foreign.tensors),
        **_hidden_units(gates),
    }


def _width(foreign: ForeignWeights) -> float:
    if foreign.backbone == "bninception":
        return 1.0
    norm = foreign.tensors.get("base_model.bn1.weight")
    return 1.0 if norm is None or norm.dim() != 1 else len(norm) / 64


def _gated_stages(gates: list[Gate], backbone: str) -> tuple[int, ...]:
    gated = {gate.block for gate in gates}
    stages = {int(name[0]) for name in gated}
    ungated = [n for n in blocks_of(backbone) if n not in gated and int(n[0]) in stages]
    if ungated:
        raise InputError(
            f"The checkpoint gates only a part of some stages (no gate in {listing(ungated)}), as "
            "--enabled_layers does; gates can be chosen per stage only."
        )
    return tuple(sorted(stages))


def _hidden_units(gates: list[Gate]) -> dict[str, Any]:
    """Return the rule behind the hidden sizes: one size, or a quota or a ratio of the channels."""
    sizes = {(gate.hidden, gate.channels) for gate in gates}
    hidden = {size for size, _ in sizes}
    if len(hidden) == 1:
        return {"gate_hidden": hidden.pop(), "gate_quota": 0}
    for quota in (OFFICIAL_QUOTA, max(size * channels for size, channels in sizes)):
        if all(quota // channels == size for size, channels in sizes):
            return {"gate_hidden": 0, "gate_quota": quota}
    least = max(size / channels for size, channels in sizes)
    most = min((size + 1) / channels for size, channels in sizes)
    for digits in range(1, 8):
        ratio = round((least + most) / 2, digits)
        if all(int(ratio * channels) == size for size, channels in sizes):
            return {"gate_hidden": 0, "gate_quota": 0, "gate_ratio": ratio}
    raise InputError(
        "The policy networks' hidden sizes follow none of --gate_hidden_dim, --hidden_quota and "
        "--relative_hidden_size; the checkpoint is damaged."
    )


def _compare(
    statement: Statement,
    foreign: ForeignWeights,
    gates: list[Gate],
    fields: Mapping[str, Any],
    path: str,
) -> None:
    """Check the options of a run against what keys and shapes tell.

    Raises:
        InputError: they are not of this checkpoint.
    """
    plain = foreign.code != ADAFUSE  # by its names; BN-Inception's are the same in both
    if foreign.backbone != "bninception" and plain == statement.gated:
        names = "names of a plain TSN or TSM" if plain else "names of the code with gates"
        option = "--ada_reso_skip" if statement.gated else "no --ada_reso_skip"
        raise _not_of_this_run(statement, option, path, names)
    blocks = frozenset(gate.block for gate in gates)
    seen: dict[str, tuple[Any, str]] = {
        "backbone": (foreign.backbone, f"a {foreign.backbone}"),
        "num_classes": (fields["num_classes"], f"{fields['num_classes']} classes"),
        "blocks": (blocks, f"gates in {len(blocks)} blocks"),
    }
    if foreign.shifted is not None:
        shifted = "shifts in its names" if foreign.shifted else "no shifts in its names"
        seen["shift"] = (foreign.shifted, shifted)
    if gates:
        seen |= {name: (fields[name], tell(fields[name])) for name, tell in _IN_WORDS.items()}
    for name, (value, words) in seen.items():
        said = statement.facts.get(name)
        if said is not None and said.value != value:
            raise _not_of_this_run(statement, said.said, path, words)
    for gate in gates if fields.get("gate_layers", 1) > 1 else []:
        fact = statement.facts["hidden"]
        if ModelConfig(**fact.value).hidden_units(gate.channels) != gate.hidden:
            words = f"{gate.hidden} hidden units for {gate.channels} channels"
            raise _not_of_this_run(statement, fact.said, path, words)


_IN_WORDS = {
    "dense_gates": lambda dense: "two gates in each block" if dense else "one gate in each block",
    "gate_actions": lambda actions: f"gates that choose among {', '.join(actions)}",
    "gate_layers": lambda layers: f"policy networks of {layers} linear layers",
    "gate_norm": lambda norm: f"policy networks {'with' if norm else 'without'} normalisation",
    "shared_policy": lambda shared: f"policy networks {'with' if shared else 'without'} sharing",
}


def _not_of_this_run(statement: Statement, said: str, path: str, seen: str) -> InputError:
    return InputError(
        f"{statement.source} says {said}, but {path} has {seen}; they are of different runs: give "
        "the right file with --args."
    )


def _shift(
    choices: _Choices, foreign: ForeignWeights, said: bool | None, shift_div: int | None
) -> dict[str, Any] | None:
    """Return the fields that say how frames are shifted; None if nothing tells."""
    fields: dict[str, Any] | None
    if foreign.backbone == "bninception":
        if said:
            raise InputError("The public code's BN-Inception has no temporal shift.")
        fields = {"temporal_shift": "none"}
    elif foreign.shifted is not None:
        fields = foreign.shift_fields(said)
    else:
        shift = choices.take("shift", said, None, "no temporal shift")
        kinds = {True: "bidirectional", False: "none"}
        fields = None if shift is None else {"temporal_shift": kinds[shift]}
    if fields is not None and fields["temporal_shift"] != "none":
        words = "1/{} of the channels shifted each way"
        fields["shift_div"] = choices.take("shift_div", shift_div, 8, words)
    elif shift_div is not None:
        raise InputError("--shift-div is of a temporal shift; give --temporal-shift as well.")
    return fields


def _unseen(
    choices: _Choices,
    foreign: ForeignWeights,
    gates: list[Gate],
    gate_relu: bool | None,
    gate_pooling: str | None,
) -> dict[str, Any]:
    """Return the fields about gates that leave no trace in keys."""
    if not gates:
        if gate_relu is not None or gate_pooling is not None:
            option = "--gate-pooling" if gate_relu is None else "--gate-relu"
            raise InputError(f"The checkpoint has no gates; leave out {option}.")
        if foreign.code == ADAFUSE:
            choices.take("blocks", None, None, "no policies made by hand")
        return {}
    choices.take("gate_actions", None, None, "hard gates")
    fields = {
        "gate_relu": choices.take("gate_relu", gate_relu, True, "ReLU in the policy networks"),
        "gate_pooling": choices.take("gate_pooling", gate_pooling, "average", "{} pooling"),
    }
    if foreign.backbone == "bninception" and fields["gate_pooling"] != "average":
        raise InputError("The public code's BN-Inception has average pooling only.")
    return fields


def _loaded(config: ModelConfig, weights: dict[str, Tensor], source: str) -> VideoRecognizer:
    """Return the network with ``weights``, whose shapes are checked before it takes memory."""
    with torch.device("meta"):
        expected = VideoRecognizer(config).state_dict()
    for name in expected:
        if name.endswith("num_batches_tracked"):  # absent from files of early PyTorch, never read
            weights.setdefault(name, torch.zeros((), dtype=torch.int64))
    check_fit(expected, weights, source)
    model = VideoRecognizer(config)
    load_weights(model, weights, source)
    return model.eval()
