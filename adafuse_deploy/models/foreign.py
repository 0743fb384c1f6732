"""Weights that other codes saved, by one set of names.

The public AdaFuse code, TSM's, mmaction2 and torchvision build the same networks and name, wrap and
pack their tensors differently.  Here they all get the names of the public AdaFuse code, of which
:mod:`adafuse_deploy.models.official` makes ours.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint_file import load_content
from adafuse_deploy.models.resnet import DEPTHS

ADAFUSE, TSM, MMACTION2 = "the public AdaFuse code", "TSM's or AdaFuse's code", "mmaction2"
IMAGENET = "ImageNet"

# Where files keep their weights, the first that is there; moving averages come last.
_ENTRIES = ("state_dict", "model_state_dict", "model", "net")
_AVERAGES = ("state_dict_ema", "ema_state_dict", "model_ema", "ema")

# Parts of names that wrappers add anywhere: DataParallel, AveragedModel, compile, FSDP.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_ROOTS = {"base_model", "backbone"}
# Counters of moving averages, and those averages beside the weights they are of (mmcv).
_AVERAGING = re.compile(r"n_averaged|steps|ema_\w+")

_NAMES = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^backbone\.", "base_model."),
        (r"^cls_head\.fc_cls\.", "new_fc."),
        (r"\.conv(\d)\.bn\.", r".bn\1."),
        (r"\.conv(\d)\.conv\.", r".conv\1."),
        (r"\.conv1\.net\.", ".conv1."),  # TSM wraps the convolution whose input it shifts
        (r"\.downsample\.(?:0|conv)\.", ".downsample0."),
        (r"\.downsample\.(?:1|bn)\.", ".downsample1."),
    )
]
_SHIFTED = re.compile(r"\.layer(\d)\.(\d+)\.conv1(?:\.conv)?\.net\.weight$")
_BLOCK = re.compile(r"base_model\.layer(\d)\.(\d+)\.")
_GATE = re.compile(r"policy_net|gate_fc")

# What networks of these codes may have that ours have not, by its names.
_UNSUPPORTED = (
    (
        r"\.policy_net\w*\.gate_conv_embed",
        "convolutions in policy networks (--gate_conv_embed_type)",
    ),
    (r"\.gate_hist_", "ghost convolutions of reused activations (--gate_history_conv_type)"),
    (r"base_model\.attention_", "an attention over frames (--policy_attention)"),
    (r"\.conv\d\.(threshold|mask)$", "CGNet's gates (--arch cgnet18 or the like)"),
    (r"\.layer\d\.\d+\.net\.", "a temporal shift of whole blocks (--shift_place block)"),
    (r"\.layer\d\.net\.", "temporal pooling"),
    (r"\.nl\.|\.non_local_block\.", "non-local blocks"),
    (r"base_model\.features\.|backbone\.layer\d\.\d+\.conv\.\d", "a MobileNetV2 backbone"),
)


@dataclass(frozen=True)
class ForeignWeights:
    """Weights by the names of the public AdaFuse code, and what their names tell of the network.

    Attributes:
        code: what wrote them: :data:`ADAFUSE`, :data:`TSM`, :data:`MMACTION2` or :data:`IMAGENET`.
        tensors: the weights; a classifier of actions is ``new_fc``.
        backbone: as in :class:`~adafuse_deploy.core.config.ModelConfig`.
        shifted: whether it is a TSM; None where names do not tell.
        shift_every: in a TSM, every so many blocks are shifted.
        left_out: other weights in the file, such as moving averages.
        told: fields of a configuration that the file tells beside its weights.
    """

    code: str
    tensors: dict[str, Tensor]
    backbone: str
    shifted: bool | None = None
    shift_every: int = 1
    left_out: tuple[str, ...] = ()
    told: Mapping[str, int] = field(default_factory=dict)

    @property
    def classes(self) -> int | None:
        """The number of actions; None without a classifier of them."""
        classifier = self.tensors.get("new_fc.weight")
        return None if classifier is None or classifier.dim() == 0 else len(classifier)

    @property
    def gated(self) -> bool:
        """Whether there are policy networks."""
        return any(_GATE.search(name) for name in self.tensors)

    def __str__(self) -> str:
        network = self.backbone.replace("resnet", "ResNet-").replace("bninception", "BN-Inception")
        if self.code == IMAGENET:
            return f"an ImageNet backbone, {network}"
        kinds = {None: "a dense network", True: "a dense TSM", False: "a dense TSN"}
        kind = "a gated network" if self.gated else kinds[self.shifted]
        classes = f"{self.classes} classes" if self.classes else "no classifier"
        return f"{kind} of {self.code} with {network}, {classes}"

    def shift_fields(self, temporal_shift: bool | None) -> dict[str, Any]:
        """Return the fields of a configuration that say how frames are shifted.

        Args:
            temporal_shift: what the user says; None leaves it to the names.

        Raises:
            InputError: the names say otherwise.
        """
        if self.shifted is None:
            return {"temporal_shift": "bidirectional" if temporal_shift else "none"}
        if temporal_shift not in (None, self.shifted):
            option = "--no-temporal-shift" if self.shifted else "--temporal-shift"
            raise InputError(f"The checkpoint is {self}, as its names tell; leave out {option}.")
        if not self.shifted:
            return {"temporal_shift": "none"}
        return {
            "temporal_shift": "bidirectional",
            "shift_place": "conv1",
            "shift_every": self.shift_every,
        }


def read_foreign(path: str | os.PathLike[str]) -> ForeignWeights:
    """Read the weights in a file of another code.

    Raises:
        InputError: the file cannot be read, holds no weights, or those of a network that has no
            counterpart here.
    """
    return foreign_weights(load_content(path), str(path))


def foreign_weights(content: Any, source: str) -> ForeignWeights:
    """Return the weights among the ``content`` of a file of another code; see :func:`read_foreign`.

    Args:
        content: what :func:`~adafuse_deploy.models.checkpoint_file.load_content` gave.
        source: the file's name, for messages.
    """
    weights, left_out = _entry(content, source)
    weights = _unwrapped(weights, source)
    if any(name.startswith("consensus.") for name in weights):
        raise InputError(
            f"{source} holds weights of adafuse-deploy without their configuration; save the model "
            "with adafuse_deploy.save_checkpoint, which writes both."
        )
    if not any(name.startswith(("base_model.", "backbone.", "new_fc.")) for name in weights):
        code = IMAGENET
        weights = {f"base_model.{name}": tensor for name, tensor in weights.items()}
    elif any(name.startswith("backbone.") for name in weights):
        code = MMACTION2
    elif any(_GATE.search(name) or ".downsample0." in name for name in weights) or (
        "base_model.conv1_7x7_s2.weight" in weights
    ):
        code = ADAFUSE
    else:
        code = TSM
    _check_supported(weights, source)
    tensors = {_renamed(name): tensor for name, tensor in weights.items()}
    if code == TSM and "new_fc.weight" not in tensors:  # without dropout it keeps its place
        tensors = {re.sub(r"^base_model\.fc\.", "new_fc.", k): t for k, t in tensors.items()}
    backbone = backbone_of(tensors)
    if code in (ADAFUSE, IMAGENET):
        return ForeignWeights(code, tensors, backbone, left_out=left_out)
    every = _shift_every(weights, tensors, source)
    told = _told(content) if code == MMACTION2 else {}
    return ForeignWeights(code, tensors, backbone, every > 0, max(every, 1), left_out, told)


def backbone_of(weights: Mapping[str, Tensor]) -> str:
    """Return the name of the backbone that weights by the public AdaFuse code's names belong to.

    Raises:
        InputError: it is none of ours.
    """
    if "base_model.conv1_7x7_s2.weight" in weights:
        return "bninception"
    blocks = {match.group(1, 2) for name in weights if (match := _BLOCK.match(name))}
    depths = Counter(stage for stage, _ in blocks)
    shape = tuple(depths[stage] for stage in "1234")
    bottleneck = any(re.search(r"layer\d\.\d+\.conv3\.", name) for name in weights)
    for name, depth in DEPTHS.items():
        if depth == shape and bottleneck == (name in ("resnet50", "resnet101")):
            return name
    raise InputError(
        f"The checkpoint's backbone is none of {', '.join(DEPTHS)} or bninception (blocks per "
        f"stage: {shape}); other architectures are not supported."
    )


def _entry(content: Any, source: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the file's weights, and the names of other sets of weights in it."""
    left_out: tuple[str, ...] = ()
    if isinstance(content, dict):
        found = [name for name in (*_ENTRIES, *_AVERAGES) if isinstance(content.get(name), dict)]
        if found:
            left_out = tuple(name for name in found[1:] if name in _AVERAGES)
            content = content[found[0]]
    entries = content if isinstance(content, dict) else {}
    others = [name for name, value in entries.items() if not isinstance(value, Tensor)]
    # An empty one is none either.
    if len(others) == len(entries) or not all(isinstance(name, str) for name in entries):
        raise InputError(f"{source} holds no state_dict; give a file of weights.")
    if others:
        kind = type(content[others[0]])
        raise InputError(
            f"{source} holds something other than tensors among its weights: {others[0]} is a "
            f"{kind.__module__}.{kind.__qualname__}; save the model's state_dict alone."
        )
    return content, left_out


def _told(content: Any) -> dict[str, int]:
    """Return what the text of its configuration tells that mmaction2 keeps beside the weights."""
    meta = content.get("meta")
    text = meta.get("cfg", meta.get("config")) if isinstance(meta, dict) else None
    if not isinstance(text, str):
        return {}
    told = {}
    for name in ("num_segments", "shift_div"):
        numbers = set(re.findall(rf"\b{name}\b['\"]?\s*[=:]\s*(\d+)", text))
        if len(numbers) == 1:
            told[name] = int(numbers.pop())
    return told


def _unwrapped(weights: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the weights by the names they have without wrappers such as DataParallel."""
    unwrapped: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        bare = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        if _AVERAGING.fullmatch(bare):
            continue
        if bare in unwrapped:
            raise InputError(
                f"{source} holds {bare} twice, in different wrappers; save the state_dict of one."
            )
        unwrapped[bare] = tensor
    # One more name in front of all: a network inside another module.
    while len(first := {name.partition(".")[0] for name in unwrapped}) == 1 and not first & _ROOTS:
        inner = {name.partition(".")[2]: tensor for name, tensor in unwrapped.items()}
        if "" in inner:
            break
        unwrapped = inner
    return unwrapped


def _check_supported(weights: Mapping[str, Tensor], source: str) -> None:
    for pattern, thing in _UNSUPPORTED:
        if any(re.search(pattern, name) for name in weights):
            raise InputError(f"{source} is of a network with {thing}, which is not supported.")
    for name, tensor in weights.items():
        if tensor.dim() == 5:
            raise InputError(
                f"{source} is of a network with 3D convolutions ({name}); give a 2D one."
            )
        first = tensor.dim() == 4 and re.fullmatch(r"\w+\.conv1(\.conv)?\.weight", name)
        if first and tensor.shape[1] not in (0, 3):
            raise InputError(
                f"{source} is of a network that reads {tensor.shape[1]} channels, such as optical "
                "flow or differences of frames; only RGB frames are supported."
            )


def _renamed(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = pattern.sub(replacement, name)
    return name


def _shift_every(weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: str) -> int:
    """Return which blocks of a stage are shifted: 0 for none, or every so many."""
    shifted = {match.group(1, 2) for name in weights if (match := _SHIFTED.search(name))}
    if not shifted:
        return 0
    blocks = {match.group(1, 2) for name in tensors if (match := _BLOCK.match(name))}
    for every in (1, 2):
        if shifted == {block for block in blocks if int(block[1]) % every == 0}:
            return every
    raise InputError(
        f"{source} shifts some blocks only ({len(shifted)} of {len(blocks)}), neither all of a "
        "stage nor every second, which is not supported."
    )
