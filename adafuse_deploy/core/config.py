"""Everything that defines a network and its input, stored in every checkpoint and every graph."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.frame_spacing import FrameSpacing

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "bninception")
SHIFTS = ("none", "bidirectional", "online")
SHIFT_PLACES = ("convolutions", "conv1")
CONSENSUS = ("average", "lstm")
GATE_ACTIONS = (("keep", "reuse", "skip"), ("keep", "reuse"), ("keep", "skip"))
GATE_POOLING = ("average", "max")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """From decoded RGB frames to the network's input; the same in training and deployment.

    A frame is resized so that its short side is ``resize``, the centre ``crop`` x ``crop`` is cut
    out, values are multiplied by ``scale``, and each channel becomes ``(value - mean) / std``.

    Attributes:
        resize: length of the short side after resizing, in pixels.
        crop: side of the square network input, in pixels.
        mean, std: per channel, in the units reached after ``scale``, in ``channel_order``.
        scale: factor applied to 8-bit values (1/255 for networks trained on [0, 1]).
        channel_order: "rgb" or "bgr" (BN-Inception from Caffe).
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    scale: float = 1 / 255
    channel_order: str = "rgb"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))
        if not 0 < self.crop <= self.resize:
            raise InputError(
                f"Preprocessing needs 0 < crop <= resize, not crop {self.crop} and resize "
                f"{self.resize}; give sizes such as --size 224 with resize 256."
            )
        if self.channel_order not in ("rgb", "bgr"):
            raise InputError(f"channel_order is 'rgb' or 'bgr', not {self.channel_order!r}.")


def preprocessing_for(backbone: str, size: int = 224) -> Preprocessing:
    """Return the usual preprocessing of a backbone for ``size`` x ``size`` input.

    The short side is ``size * 256 // 224`` as in TSN.  BN-Inception comes from Caffe and takes BGR
    in 0...255 with the means subtracted; the ResNets take RGB with ImageNet statistics.
    """
    resize = size * 256 // 224
    if backbone == "bninception":
        return Preprocessing(resize, size, (104.0, 117.0, 128.0), (1.0, 1.0, 1.0), 1.0, "bgr")
    return Preprocessing(resize, size)


@dataclass(frozen=True, repr=False)
class ModelConfig:
    """One network.  ``adafuse_deploy.models.build(config)`` makes it.

    Attributes:
        backbone: one of :data:`BACKBONES`.
        num_classes: number of actions K.
        num_segments: frames per clip T.
        temporal_shift: "none" (TSN), "bidirectional" (TSM) or "online" (TSM, past frames only).
        shift_div: 1/shift_div of the channels are shifted in each direction.
        shift_place: which layers of a residual block see the shifted input: "convolutions" is all
            that read the block's input, so the gate, the first convolution and a convolution on
            the shortcut (AdaFuse); "conv1" is the first convolution and the gate only (TSM's
            ``blockres``).  An identity shortcut is never shifted.
        shift_every: of each stage the first block is shifted and every ``shift_every``-th after it
            (TSM: 2 for ResNet-101, otherwise 1).
        gated_stages: which of the four ResNet stages (1..4), or BN-Inception's 3, 4 and 5, carry
            gates; empty for a dense network.
        dense_gates: a second gate in every gated residual block.
        gate_actions: what gates choose among: one of :data:`GATE_ACTIONS`.  Without "reuse" there
            is no history: policy networks read the frame's own features only.
        gate_pooling: how policy networks see the gated block's input: one of :data:`GATE_POOLING`,
            over space.
        gate_layers: linear layers of each policy network: 1, 2 (the paper's) or 3.
        gate_norm: batch normalisation behind the policy networks' linear layers but the last, or
            behind the only one.
        gate_relu: ReLU at the same places.
        gate_hidden: hidden units of each policy network; 0 to use ``gate_quota``.
        gate_quota: hidden units are ``gate_quota // gated channels`` (official 196608).
        gate_ratio: above zero, hidden units are this multiple of the gated channels, rounded down.
        shared_policy: policy networks of equal shape share their linear layers.
        consensus: "average" of the frames' logits, or an "lstm" over the frames' features.
        lstm_hidden: width of that LSTM.
        width: multiplier on all channel counts, for small models (1.0 is the paper's network).
        depths: residual blocks of each of the four ResNet stages, for shallower or deeper models;
            empty for the backbone's own.
        gate_channels: of pruned networks, gate -> how many of its channels are left, such as
            ``{"layer1.0.gate1": 5}``.  Its policy network has as many hidden units as before.
        plain_gates: of pruned networks, gates that are no more: their channels are always computed.
        dropout: before the classifier, in training only.
        class_names: K names, or empty when unknown.
        preprocessing: how frames become network input.
        frame_spacing: how far apart the frames of training clips were; None when unknown.
    """

    backbone: str = "resnet50"
    num_classes: int = 174
    num_segments: int = 8
    temporal_shift: str = "none"
    shift_div: int = 8
    shift_place: str = "convolutions"
    shift_every: int = 1
    gated_stages: tuple[int, ...] = (1, 2, 3, 4)
    dense_gates: bool = False
    gate_actions: tuple[str, ...] = ("keep", "reuse", "skip")
    gate_pooling: str = "average"
    gate_layers: int = 2
    gate_norm: bool = True
    gate_relu: bool = True
    gate_hidden: int = 1024
    gate_quota: int = 0
    gate_ratio: float = 0.0
    shared_policy: bool = False
    consensus: str = "average"
    lstm_hidden: int = 512
    width: float = 1.0
    depths: tuple[int, ...] = ()
    gate_channels: dict[str, int] = field(default_factory=dict)
    plain_gates: tuple[str, ...] = ()
    dropout: float = 0.5
    class_names: tuple[str, ...] = ()
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    frame_spacing: FrameSpacing | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "gated_stages", tuple(sorted(set(self.gated_stages))))
        object.__setattr__(self, "gate_actions", tuple(sorted(set(self.gate_actions))))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "depths", tuple(self.depths))
        object.__setattr__(self, "plain_gates", tuple(self.plain_gates))
        if self.frame_spacing is not None and not isinstance(self.frame_spacing, FrameSpacing):
            object.__setattr__(self, "frame_spacing", FrameSpacing.from_dict(self.frame_spacing))
        self._choice("backbone", BACKBONES)
        self._choice("temporal_shift", SHIFTS)
        self._choice("shift_place", SHIFT_PLACES)
        self._choice("consensus", CONSENSUS)
        self._choice("gate_actions", GATE_ACTIONS)
        self._choice("gate_pooling", GATE_POOLING)
        self._choice("gate_layers", (1, 2, 3))
        if self.shift_div < 2 or self.shift_every < 1:
            raise InputError("shift_div must be at least 2 and shift_every at least 1.")
        stages = self.possible_stages
        if not set(self.gated_stages) <= set(stages):
            raise InputError(
                f"gated_stages {self.gated_stages} is not possible for {self.backbone}: "
                f"choose among {stages}."
            )
        if self.backbone == "bninception" and (
            self.temporal_shift != "none" or self.dense_gates or self.width != 1.0 or self.depths
        ):
            raise InputError(
                "bninception has no temporal shift, dense gates, width multiplier or depths; "
                "use a ResNet for those."
            )
        if self.depths and (len(self.depths) != 4 or min(self.depths) < 1):
            raise InputError(
                f"depths are {list(self.depths)}; give the number of blocks, at least 1, of each "
                "of the four stages, such as [2, 2, 2, 2]."
            )
        if self.pruned and (self.backbone == "bninception" or self.shared_policy):
            raise InputError(
                "Pruned networks are ResNets without shared policy networks; bninception and "
                "shared_policy cannot be combined with gate_channels and plain_gates."
            )
        if any(count < 1 for count in self.gate_channels.values()):
            raise InputError("gate_channels must leave at least one channel of every gate.")
        if self.num_classes < 1 or self.num_segments < 1 or self.width <= 0:
            raise InputError("num_classes, num_segments and width must be positive.")
        hidden = self.gate_hidden > 0 or self.gate_quota > 0 or self.gate_ratio > 0
        if self.gated_stages and self.gate_layers > 1 and not hidden:
            raise InputError(
                "A gated network needs gate_hidden, gate_quota or gate_ratio above zero."
            )
        if self.class_names and len(self.class_names) != self.num_classes:
            raise InputError(
                f"{len(self.class_names)} class names were given for {self.num_classes} classes; "
                "they must be equally many."
            )

    def _choice(self, name: str, allowed: tuple[Any, ...]) -> None:
        value = getattr(self, name)
        if value not in allowed:
            raise InputError(f"{name} is {value!r}; choose one of {', '.join(map(str, allowed))}.")

    @property
    def possible_stages(self) -> tuple[int, ...]:
        """The stages that may carry gates."""
        return (3, 4, 5) if self.backbone == "bninception" else (1, 2, 3, 4)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names, or "class 0", "class 1", ... where they are unknown."""
        return self.class_names or tuple(f"class {index}" for index in range(self.num_classes))

    @property
    def summary(self) -> str:
        """The network in a few words."""
        system = {"none": "TSN", "bidirectional": "TSM", "online": "online TSM"}
        width = "" if self.width == 1 else f" x {self.width:g}"
        crop = self.preprocessing.crop
        return (
            f"{'AdaFuse' if self.gated else 'dense'} {system[self.temporal_shift]} "
            f"{self.backbone}{width}{self.depths_text}, {self.num_segments} frames of "
            f"{crop} x {crop}, {self.num_classes} classes{', pruned' if self.pruned else ''}"
        )

    @property
    def depths_text(self) -> str:
        """The numbers of blocks in words, where they are not the backbone's own."""
        return f" of {'+'.join(map(str, self.depths))} blocks" if self.depths else ""

    def __repr__(self) -> str:
        return f"<ModelConfig: {self.summary}>"

    @property
    def gated(self) -> bool:
        """Whether any stage carries gates."""
        return bool(self.gated_stages)

    @property
    def pruned(self) -> bool:
        """Whether channels or gates were taken out."""
        return bool(self.gate_channels or self.plain_gates)

    @property
    def accumulates(self) -> bool:
        """Whether each frame's logits know the frames before it, so that a clip's are the last's.

        Otherwise a clip's logits are the mean of its frames'.
        """
        return self.consensus == "lstm"

    @property
    def clip_seconds(self) -> float | None:
        """How long a clip of the training videos was, in the median; None when unknown."""
        return self.num_segments * self.frame_spacing.median if self.frame_spacing else None

    @property
    def shift_text(self) -> str:
        """Where frames are shifted, in words."""
        if self.temporal_shift == "none":
            return "no temporal shift (TSN)"
        kind = {"bidirectional": "temporal shift (TSM)", "online": "online temporal shift"}
        place = {"convolutions": "conv1 and the shortcut's convolution", "conv1": "conv1 alone"}
        blocks = "" if self.shift_every == 1 else f" in one of {self.shift_every} blocks"
        part = f"1/{self.shift_div} of the channels each way"
        return f"{kind[self.temporal_shift]} before {place[self.shift_place]}{blocks}, {part}"

    @property
    def gate_text(self) -> str:
        """How gates decide, in words: their actions, and in what they differ from the paper's."""
        differing = {
            "maxima over space": self.gate_pooling == "max",
            f"{self.gate_layers} linear layers": self.gate_layers != 2,
            "no normalisation": not self.gate_norm,
            "no ReLU": not self.gate_relu,
            "two in each block": self.dense_gates,
        }
        words = [name for name, differs in differing.items() if differs]
        return ", ".join([" or ".join(self.gate_actions), *words])

    def hidden_units(self, channels: int) -> int:
        """Hidden units of a policy network that gates ``channels`` channels."""
        if self.gate_ratio > 0:
            return max(1, int(self.gate_ratio * channels))
        return self.gate_hidden or max(1, self.gate_quota // channels)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON and for ``torch.load(weights_only=True)``."""
        values = asdict(self)
        for name in ("depths", "frame_spacing", "gate_channels", "plain_gates"):
            if not values[name]:
                del values[name]  # which older versions do not know
        for name, value in values.items():
            if isinstance(value, tuple):
                values[name] = list(value)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Rebuild a configuration from :meth:`to_dict`.

        Raises:
            InputError: a field is unknown, which means a newer or a foreign file.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise InputError(
                f"The model configuration has unknown fields {sorted(unknown)}; it was written by "
                "a newer adafuse-deploy: upgrade this one."
            )
        values = dict(values)
        values["preprocessing"] = Preprocessing(**values.get("preprocessing", {}))
        return cls(**values)
