"""The JSON beside an engine, which says where the engine fits before anything opens it.

Engines are exact about versions and GPUs and refuse late and obscurely.  So ``model.engine`` is
followed by ``model.engine.json``, checked first; the engine's own bytes stay as the runtime wrote
them, for trtexec, Triton Inference Server and others.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from adafuse_deploy import __version__
from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError, OtherMachineError
from adafuse_deploy.core.files import sha256
from adafuse_deploy.core.json_text import json_text, parse_json
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.records import check_record, schema

SCHEMA: int = schema("sidecar")["properties"]["schema"]["const"]


@dataclass(frozen=True)
class BatchProfile:
    """How many clips an engine takes at a time, and for how many it is tuned."""

    min: int = 1
    opt: int = 1
    max: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max:
            raise InputError(
                f"Batch sizes need 1 <= min <= opt <= max, not {self.min}, {self.opt}, {self.max}; "
                "check --min-batch, --opt-batch and --max-batch."
            )


@dataclass(frozen=True)
class OperatorLibrary:
    """The operators that an engine calls in a library of ours.

    Attributes:
        domain, version: of the operators.
        sha256: of the library file.
        embedded: the engine carries the library inside.
    """

    domain: str
    version: int
    sha256: str
    embedded: bool = False


@dataclass(frozen=True)
class Sidecar:
    """Everything needed to judge an engine without opening it.

    Attributes:
        engine_sha256: of the engine file.
        graph_sha256: of the graph it was built from.
        backend, backend_version: the runtime that built it; it must run it too.
        precision: "fp32", "fp16", "bf16" or "int8": arithmetic of the convolutions.
        compute_capabilities: of the GPUs it runs on, such as "8.6", or "8.0+" for that and newer.
        batch: clips at a time.
        metadata: the graph's own description.
        operators: the plugin library it needs, or None.
        tool_version: adafuse-deploy that built it.
    """

    engine_sha256: str
    graph_sha256: str
    backend: str
    backend_version: str
    precision: str
    compute_capabilities: tuple[str, ...]
    batch: BatchProfile
    metadata: GraphMetadata
    operators: OperatorLibrary | None = None
    tool_version: str = __version__

    def to_json(self) -> str:
        """Return the content of the sidecar file."""
        values = {
            "schema": SCHEMA,
            **self.__dict__,
            "batch": asdict(self.batch),
            "operators": None if self.operators is None else asdict(self.operators),
            "metadata": self.metadata.to_dict(),
        }
        return json_text(values, indent=2) + "\n"

    def check_runtime(self, engine: Path, version: str) -> None:
        """Refuse an engine built by another version of the runtime.

        Raises:
            OtherMachineError: it was.
        """
        if version != self.backend_version:
            raise OtherMachineError(
                f"{engine} was built by {self.backend} {self.backend_version}, but this is "
                f"{version}; engines run only in the version that built them: build it again with "
                f"'adafuse-deploy build-engine', or install {self.backend} {self.backend_version}."
            )

    def check_gpu(self, engine: Path, capability: str) -> None:
        """Refuse an engine built for GPUs of other compute capabilities.

        Raises:
            OtherMachineError: ``capability``, such as "8.6", is not among them.
        """
        if not any(_covers(entry, capability) for entry in self.compute_capabilities):
            raise OtherMachineError(
                f"{engine} was built for compute capability "
                f"{', '.join(self.compute_capabilities)}, but this GPU has {capability}; build it "
                "again for this GPU with 'adafuse-deploy build-engine'."
            )


def _covers(entry: str, capability: str) -> bool:
    """Whether "8.6" or "8.0+" includes a compute capability."""
    if entry.endswith("+"):
        return _version(capability) >= _version(entry[:-1])
    return capability == entry


def _version(capability: str) -> tuple[int, ...]:
    return tuple(map(int, capability.split(".")))


def sidecar_path(engine: str | os.PathLike[str]) -> Path:
    """Return where the sidecar of an engine lies: ``model.engine`` -> ``model.engine.json``."""
    return Path(f"{os.fspath(engine)}.json")


def read_sidecar(engine: str | os.PathLike[str]) -> Sidecar:
    """Read the sidecar of an engine and check that it belongs to the file.

    Raises:
        InputError: there is no such engine.
        IncompatibleArtifactError: the sidecar is missing, damaged or of another schema, or the
            engine's bytes are not those it describes.
    """
    engine = Path(engine)
    path = sidecar_path(engine)
    if not engine.is_file():
        raise InputError(f"There is no engine {engine}; 'adafuse-deploy build-engine' makes one.")
    if not path.is_file():
        raise IncompatibleArtifactError(
            f"{engine} has no {path.name} beside it, so nothing says what it fits; copy the two "
            "together, or build it again with 'adafuse-deploy build-engine'."
        )
    sidecar = _parse(path)
    actual = sha256(engine)
    if actual != sidecar.engine_sha256:
        raise IncompatibleArtifactError(
            f"{engine} has SHA-256 {actual[:12]}... but {path.name} describes "
            f"{sidecar.engine_sha256[:12]}...: the engine was changed or cut short, or the two do "
            "not belong together; copy both again or build it again."
        )
    return sidecar


def _parse(path: Path) -> Sidecar:
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
        check_record(values, "sidecar", str(path), "build the engine again")
        operators = values["operators"]
        changes = {
            "compute_capabilities": tuple(values["compute_capabilities"]),
            "batch": BatchProfile(**values["batch"]),
            "operators": None if operators is None else OperatorLibrary(**operators),
            "metadata": GraphMetadata.from_dict(values["metadata"], str(path)),
        }
        known = {name: value for name, value in values.items() if name != "schema"}
        return Sidecar(**{**known, **changes})
    except (OSError, ValueError, InputError) as error:
        raise IncompatibleArtifactError(
            f"{path} cannot be read as the sidecar of an engine ({error}); build the engine again."
        ) from error
