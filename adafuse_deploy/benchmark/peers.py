"""Which dense runtimes ours is compared with, and what each of them can do: one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.engines.backends import find_backend

PRECISIONS = ("fp32", "bf16", "int8")

ISA_LIMITS = {
    isa: {"ADAFUSE_MAX_ISA": isa, "ONEDNN_MAX_CPU_ISA": onednn, "ATEN_CPU_CAPABILITY": aten}
    for isa, onednn, aten in (("avx2", "AVX2", "avx2"), ("avx512", "AVX512_CORE_BF16", "avx512"))
}
"""What limits our kernels, oneDNN (in OpenVINO and PyTorch) and PyTorch's own kernels.

In all of them "avx512" is everything before AMX, VNNI and BF16 included.
"""

ISA_FLAGS = {"avx2": {"avx2", "fma"}, "avx512": {"avx512f"}}
"""Instruction sets that a machine must have for a limit to mean anything."""

_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Peer:
    """A runtime for the dense network.

    Attributes:
        suffix: of the file it runs: an ONNX graph or a checkpoint.
        precisions: what it computes in; in int8 it runs the dense graph that
            :func:`~adafuse_deploy.exporters.quantize.quantize` makes.
        limitable: its instruction set can be limited (:data:`ISA_LIMITS`).
        needs_bf16: it uses bf16 only where the processor multiplies it.
    """

    suffix: str
    precisions: tuple[str, ...]
    limitable: bool = True
    needs_bf16: bool = False


PEERS = {
    "openvino": Peer(".onnx", PRECISIONS, needs_bf16=True),
    "onnxruntime": Peer(".onnx", ("fp32", "int8"), limitable=False),
    "torch": Peer(".pt", ("fp32", "bf16")),
}


def installed_peers() -> tuple[str, ...]:
    """Return those of :data:`PEERS` that are installed here."""
    return tuple(name for name in PEERS if find_backend(name).installed())


def check_peers(names: tuple[str, ...]) -> None:
    """Raise :class:`InputError` unless ``names`` are one or more of :data:`PEERS`."""
    if set(names) - set(PEERS) or not names:
        raise InputError(
            f"Peers are one or more of {', '.join(PEERS)}, not {', '.join(names) or None}."
        )


def engine_precision(name: str, precision: str, instruction_sets: list[str]) -> str | None:
    """Return what to ask a peer's engine for, or None for what its file says.

    Between the quantised layers OpenVINO is fastest in bf16 where the processor has it.
    """
    if name == "onnxruntime":
        return None
    if name == "openvino" and precision == "int8":
        return "bf16" if _BF16_FLAGS & set(instruction_sets) else "fp32"
    return precision


def choose_peers(
    names: Sequence[str], precision: str, isa: str | None, instruction_sets: list[str]
) -> tuple[list[str], list[dict[str, str]]]:
    """Return the peers that can take part, and name and reason of the others.

    Args:
        names: of :data:`PEERS`.
        precision, isa, instruction_sets: as of :func:`why_missing`.

    Raises:
        InputError: none of them can.
    """
    reasons = {name: why_missing(name, precision, isa, instruction_sets) for name in names}
    present = [name for name, reason in reasons.items() if not reason]
    if not present:
        raise InputError(
            "None of the peers can take part: "
            + "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        )
    return present, [{"name": n, "reason": reason} for n, reason in reasons.items() if reason]


def why_missing(name: str, precision: str, isa: str | None, instruction_sets: list[str]) -> str:
    """Return why a peer cannot take part, or "" if it can.

    Args:
        name: of :data:`PEERS`.
        precision: of :data:`PRECISIONS`.
        isa: the limit, of :data:`ISA_LIMITS`, or None.
        instruction_sets: of this machine.
    """
    peer = PEERS[name]
    if precision not in peer.precisions:
        return f"not available at {precision}: it has no such convolution for CPUs"
    if isa and not peer.limitable:
        return f"its instruction set cannot be limited to {isa}"
    if precision == "bf16" and peer.needs_bf16:
        if isa:
            return f"not available at bf16 when limited to {isa}"
        if not _BF16_FLAGS & set(instruction_sets):
            return "not available at bf16: this processor has no instructions for it"
    return ""
