"""What the options of the public AdaFuse code (opts.py) mean for a network; docs/official.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.official.gates import blocks_of
from adafuse_deploy.models.official.irrelevant import IRRELEVANT

DEFAULTS: dict[str, Any] = {
    "ada_reso_skip": False, "arch": "BNInception", "num_segments": 3, "num_class": None,
    "dropout": 0.5, "shift": False, "shift_div": 8, "shift_place": "blockres",
    "dense_in_block": False, "enable_from": 0, "disable_from": 4, "enabled_layers": [],
    "enabled_stages": [], "gate_history": False, "gate_no_skipping": False,
    "gate_reduce_type": "avg", "single_linear": False, "triple_linear": False,
    "gate_bn_between_fcs": False, "gate_relu_between_fcs": False, "shared_policy_net": False,
    "relative_hidden_size": -1.0, "hidden_quota": -1, "gate_hidden_dim": 16,
    "gate_gumbel_use_soft": False, "gate_all_zero_policy": False, "gate_all_one_policy": False,
    "gate_only_current_policy": False, "gate_random_hard_policy": False,
    "gate_random_soft_policy": False, "gate_threshold": False, "gate_history_conv_type": "None",
    "granularity": 1, "gate_channel_starts": 0, "gate_channel_ends": 64,
    "gate_conv_embed_type": "None", "policy_attention": False,
}  # fmt: skip
"""The options that change weights or forward pass, and their values where none are given.

The number of classes has no default: every run takes it from its data set.
"""

_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")

# Options that make a network with gates another one, with what stands for "off" and the reason.
_HAND_MADE = "it makes policies by hand, and a deployed network decides by its policy networks"
_REFUSED = (
    ("gate_gumbel_use_soft", False, "soft gates mix all actions, and a deployed one takes one"),
    ("gate_all_zero_policy", False, _HAND_MADE),
    ("gate_all_one_policy", False, _HAND_MADE),
    ("gate_random_hard_policy", False, _HAND_MADE),
    ("gate_random_soft_policy", False, _HAND_MADE),
    ("gate_threshold", False, _HAND_MADE),
    ("granularity", 1, "channels are decided over one by one here"),
    ("gate_channel_starts", 0, "gates decide over all channels of a convolution here"),
    ("gate_channel_ends", 64, "gates decide over all channels of a convolution here"),
    ("gate_conv_embed_type", "None", "policy networks read pooled features without a convolution"),
    ("policy_attention", False, "a clip's logits are the mean of its frames' here"),
)
# The same with ResNets only, and with BN-Inception only, whose code breaks on them.
_REFUSED_RESNET = (
    ("gate_history_conv_type", "None", "reused activations pass through no convolution here"),
)
_BREAKS = "the public code's BN-Inception cannot have been trained with it"
_REFUSED_INCEPTION = (
    ("gate_reduce_type", "avg", _BREAKS),
    ("shared_policy_net", False, _BREAKS),
    ("gate_only_current_policy", False, _BREAKS),
)
_HARMLESS_HISTORY = ("conv1x1", "conv1x1bnrelu", "conv1x1_list", "conv1x1_res")

_FLAGS = {"gate_bn_between_fcs": "gbn", "gate_relu_between_fcs": "grelu"}


class Fact(NamedTuple):
    """A value of a field, and how the source says it: "--shift_div 4", "no --grelu"."""

    value: Any
    said: str


@dataclass(frozen=True)
class Statement:
    """What the options of a run say of its network.

    Attributes:
        source: the file.
        gated: whether it was trained as AdaFuse; a plain TSN or TSM otherwise.
        facts: by field.  Most are named as in :class:`~adafuse_deploy.core.config.ModelConfig`;
            "shift" is whether frames are shifted at all, "blocks" the set of gated blocks, "hidden"
            the fields that give the hidden sizes.
    """

    source: str
    gated: bool
    facts: dict[str, Fact]


def flag(name: str) -> str:
    """Return the option of a name on the public code's command line."""
    return f"--{_FLAGS.get(name, name)}"


def state(arguments: Mapping[str, Any], source: str) -> Statement:
    """Return what options say of the network.

    Args:
        arguments: options by name, see :mod:`adafuse_deploy.models.official.arguments`.
        source: their file, for messages.

    Raises:
        InputError: an option has no counterpart here, is unknown, or has an impossible value.
    """
    unknown = sorted(n for n in set(arguments) - set(DEFAULTS) - IRRELEVANT if arguments[n])
    if unknown:
        raise InputError(
            f"{source} has options that the public AdaFuse code does not have "
            f"({', '.join(unknown[:5])}); what they do to a network is unknown, so it is refused."
        )
    if "arch" not in arguments or "num_segments" not in arguments:
        raise InputError(f"{source} lacks --arch or --num_segments; it is of another program.")
    options = {name: _checked(name, arguments, source) for name in DEFAULTS}
    arch, said = options["arch"], f"--arch {options['arch']}"
    facts = {"num_segments": _fact(options, "num_segments"), "dropout": _fact(options, "dropout")}
    if options["num_class"] is not None:
        facts["num_classes"] = Fact(options["num_class"], f"{options['num_class']} classes")
    if not options["ada_reso_skip"]:
        backbone = "bninception" if "BNInception" in arch else arch
        _supported(backbone, said, source)
        facts["backbone"] = Fact(backbone, said)
        facts["blocks"] = Fact(frozenset(), f"no {flag('ada_reso_skip')}")
        return Statement(source, False, facts | _dense_shift(options, backbone, source))
    backbone = "bninception" if arch == "AdaBNInc" else arch.replace("batenet", "resnet")
    _supported(backbone if "resnet" not in arch else "", said, source)
    facts["backbone"] = Fact(backbone, said)
    inception = backbone == "bninception"
    _refuse(options, _REFUSED, source)
    if not inception and options["gate_history_conv_type"] not in _HARMLESS_HISTORY:
        _refuse(options, _REFUSED_RESNET, source)
    if inception:
        _refuse(options, _REFUSED_INCEPTION, source)
    else:
        facts["shift"], facts["shift_div"] = _fact(options, "shift"), _fact(options, "shift_div")
    facts["blocks"] = _blocks(options, backbone)
    if facts["blocks"].value:
        facts |= _gates(options, inception)
    return Statement(source, True, facts)


def _gates(options: Mapping[str, Any], inception: bool) -> dict[str, Fact]:
    """Return what is said of gates.  BN-Inception's know fewer options."""
    history, no_skipping = _fact(options, "gate_history"), _fact(options, "gate_no_skipping")
    actions = Fact(("keep", "skip"), history.said)
    if history.value:
        three = ("keep", "reuse", "skip")
        said = f"{history.said} and {no_skipping.said}"
        actions = Fact(("keep", "reuse") if no_skipping.value else three, said)
    single, triple = _fact(options, "single_linear"), _fact(options, "triple_linear")
    layers = Fact(2, f"{single.said} and {triple.said}")
    if single.value or triple.value:
        layers = Fact(1, single.said) if single.value else Fact(3, triple.said)
    if inception:
        layers = Fact(2, "--arch AdaBNInc")
    facts = {
        "gate_actions": actions,
        "gate_layers": layers,
        "gate_norm": _fact(options, "gate_bn_between_fcs"),
        "gate_relu": _fact(options, "gate_relu_between_fcs"),
        "gate_pooling": Fact(
            "max" if options["gate_reduce_type"] == "max" else "average",
            f"--gate_reduce_type {options['gate_reduce_type']}",
        ),
        "hidden": _hidden(options),
    }
    if not inception:
        facts["dense_gates"] = _fact(options, "dense_in_block")
        if layers.value == 2:
            facts["shared_policy"] = _fact(options, "shared_policy_net")
    return facts


def _fact(options: Mapping[str, Any], name: str) -> Fact:
    value = options[name]
    if isinstance(value, bool):
        return Fact(value, flag(name) if value else f"no {flag(name)}")
    return Fact(value, f"{flag(name)} {value}")


def _checked(name: str, arguments: Mapping[str, Any], source: str) -> Any:
    """Return an option's value, of its default's type and no larger than a network can bear."""
    default = DEFAULTS[name]
    value = arguments.get(name, default)
    if isinstance(default, bool):
        valid = isinstance(value, bool)
    elif isinstance(default, str):
        valid = isinstance(value, str) and len(value) < 100
    elif isinstance(default, list):
        valid = isinstance(value, list) and all(_is_count(entry, 1000) for entry in value)
    elif isinstance(default, float):
        valid = isinstance(value, (int, float)) and abs(value) <= 1000
    else:
        least = (
            -1 if name == "hidden_quota" else 0 if "gate_channel" in name or "able" in name else 1
        )
        valid = (value is None and default is None) or _is_count(value, 1 << 24, least)
    if not valid:
        raise InputError(f"{source} has {flag(name)} {value!r:.60}, which is not possible.")
    return value


def _is_count(value: Any, most: int, least: int = 0) -> bool:
    return type(value) is int and least <= value <= most


def _supported(backbone: str, said: str, source: str) -> None:
    if backbone not in (*_RESNETS, "bninception"):
        raise InputError(
            f"{source} says {said}, a network that is not supported; ResNet-18, 34, 50 and 101 and "
            "BN-Inception are."
        )


def _refuse(
    options: Mapping[str, Any], refused: tuple[tuple[str, Any, str], ...], source: str
) -> None:
    for name, off, reason in refused:
        if options[name] != off:
            said = _fact(options, name).said
            raise InputError(f"{source} says {said}, which is not supported: {reason}.")


def _dense_shift(options: Mapping[str, Any], backbone: str, source: str) -> dict[str, Fact]:
    """Return where TSM's own code shifts: before conv1, or nowhere at a place it does not know."""
    shift, place = _fact(options, "shift"), options["shift_place"]
    if not shift.value:
        return {"shift": shift}
    said = f"--shift --shift_place {place}"
    if backbone == "bninception" or place == "block":
        thing = "on BN-Inception" if backbone == "bninception" else "of whole blocks"
        raise InputError(f"{source} says {said}, a shift {thing}, which is not supported.")
    return {"shift": Fact("blockres" in place, said), "shift_div": _fact(options, "shift_div")}


def _blocks(options: Mapping[str, Any], backbone: str) -> Fact:
    """Return which blocks carry gates; BN-Inception's all do."""
    names = blocks_of(backbone)
    if backbone == "bninception":
        return Fact(frozenset(names), "--arch AdaBNInc")
    if options["gate_only_current_policy"]:
        return Fact(frozenset(), "--gate_only_current_policy")
    if options["enabled_layers"]:
        chosen = {name for index, name in enumerate(names) if index in options["enabled_layers"]}
        return Fact(frozenset(chosen), _listed(options, "enabled_layers"))
    if options["enabled_stages"]:
        stages, said = set(options["enabled_stages"]), _listed(options, "enabled_stages")
    else:
        first, end = options["enable_from"], options["disable_from"]
        stages, said = set(range(first, min(end, 4))), f"--enable_from {first} --disable_from {end}"
    return Fact(frozenset(name for name in names if int(name[0]) - 1 in stages), said)


def _listed(options: Mapping[str, Any], name: str) -> str:
    return f"{flag(name)} {' '.join(map(str, options[name]))}"


def _hidden(options: Mapping[str, Any]) -> Fact:
    ratio, quota = options["relative_hidden_size"], options["hidden_quota"]
    if ratio > 0:
        values = {"gate_hidden": 0, "gate_quota": 0, "gate_ratio": float(ratio)}
        return Fact(values, _fact(options, "relative_hidden_size").said)
    if quota > 0:
        values = {"gate_hidden": 0, "gate_quota": quota}
        return Fact(values, _fact(options, "hidden_quota").said)
    values = {"gate_hidden": options["gate_hidden_dim"], "gate_quota": 0}
    return Fact(values, _fact(options, "gate_hidden_dim").said)
