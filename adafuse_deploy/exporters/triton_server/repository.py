"""A model and all that it takes, as a folder of a model repository for Triton Inference Server."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError
from adafuse_deploy.core.files import atomic_folder, check_new_folder
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines import plugin_library
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.sidecar import read_sidecar
from adafuse_deploy.engines.suffixes import ENGINES, GRAPHS
from adafuse_deploy.exporters.triton_server.model_config import LABELS, model_config
from adafuse_deploy.exporters.triton_server.readme import readme
from adafuse_deploy.exporters.triton_server.text_format import Word, text_format
from adafuse_deploy.ops.library import operator_library_path

MOUNTED_AT = "/models"
"""Where containers of the server have the repository by custom."""
MOST = 2**31 - 1
"""Clips or streams that the server can count; its configuration has 32 bits for them."""
_VERSION = "1"


@dataclass(frozen=True)
class Served:
    """What runs a model on the server.

    Attributes:
        metadata: what the model is.
        file_name: of the model in its version's folder.
        max_batch: clips, or frames of so many streams, at a time.
        backend: fields of the configuration that say what runs it.
        parameters: of the backend.
        library: of operators, copied beside the model; None without.
        needs: what the server must be, in words.
        server_options: words that the server must be started with.
    """

    metadata: GraphMetadata
    file_name: str
    max_batch: int
    backend: dict[str, Any]
    needs: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    library: Path | None = None
    server_options: tuple[str, ...] = ()


def write_repository(
    model: str | os.PathLike[str],
    repository: str | os.PathLike[str],
    *,
    name: str | None = None,
    max_batch: int | None = None,
    max_streams: int = 32,
    threads: int | None = None,
    operator_library: bool = True,
    mounted_at: str = MOUNTED_AT,
) -> Path:
    """Write a model into a model repository, whole or not at all.

    Args:
        model: a graph, which is opened once to see that it runs, or an engine of TensorRT.
        repository: the folder that the server is given; it is made if it is missing.
        name: of the model [the file's, with "_" for "."].
        max_batch: clips, or frames of so many streams, that are run together [8; an engine's own].
        max_streams: streams whose state is kept at a time; more of them wait.
        threads: of one run in ONNX Runtime [one for each processor].
        operator_library: run a graph on the operator library; False: on its function bodies.
        mounted_at: the repository's folder as the server sees it.

    Returns:
        The model's folder.

    Raises:
        InputError: the model's folder exists or cannot be made, ``model`` is not to be served, or
            a number or ``mounted_at`` is none that the server takes.
        MissingDependencyError: the operator library or the plugin library is missing.
        IncompatibleArtifactError: an engine of another runtime, or a graph that does not run.
    """
    model = Path(model)
    if model.suffix not in (*GRAPHS, *ENGINES):
        raise InputError(
            f"{model} is neither a graph ({', '.join(GRAPHS)}) nor an engine "
            f"({', '.join(ENGINES)}); 'adafuse-deploy export' makes a graph of a checkpoint."
        )
    name = name or model.stem.replace(".", "_")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(
            f"{name!r} is no name for a model; use letters, digits, '_', '.' and '-' (--name)."
        )
    for what, number in (("--max-batch", max_batch), ("--max-streams", max_streams)):
        if number is not None and not 1 <= number <= MOST:
            raise InputError(f"The server takes 1 to {MOST} for {what}, not {number}.")
    if not PurePosixPath(mounted_at).is_absolute():
        raise InputError(
            f"The server finds the operator library by an absolute path such as {MOUNTED_AT}, not "
            f"{mounted_at!r} (--mounted-at)."
        )
    folder = Path(repository, name)
    check_new_folder(folder)
    place = PurePosixPath(mounted_at, name, _VERSION)
    if model.suffix in ENGINES:
        served = _engine(model, place, max_batch)
    else:
        served = _graph(model, place, max_batch or 8, threads, operator_library)
    config = model_config(
        name,
        served.metadata,
        served.backend,
        max_batch=served.max_batch,
        max_streams=max_streams,
        parameters=served.parameters,
    )
    labels = (" ".join(label.splitlines()) for label in served.metadata.config.labels)
    with atomic_folder(folder) as made:
        (made / _VERSION).mkdir()
        shutil.copyfile(model, made / _VERSION / served.file_name)
        if served.library is not None:
            shutil.copyfile(served.library, made / _VERSION / served.library.name)
        shutil.copyfile(Path(__file__).with_name("client.py"), made / "client.py")
        (made / "config.pbtxt").write_text(text_format(config), encoding="ascii")
        (made / LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
        page = readme(
            name, served.metadata, config, served.needs, mounted_at, served.server_options
        )
        (made / "README.md").write_text(page, encoding="utf-8")
    return folder


def _graph(
    model: Path, place: PurePosixPath, max_batch: int, threads: int | None, operator_library: bool
) -> Served:
    """Return how a graph is served, after opening it as the server will."""
    with load_engine(model, operator_library=operator_library) as engine:
        metadata = engine.metadata
    backend: dict[str, Any] = {
        "backend": "onnxruntime",
        "default_model_filename": "model.onnx",
        "instance_group": [{"count": 1, "kind": Word("KIND_CPU")}],
    }
    parameters = {"enable_mem_pattern": "0"}
    if threads is not None:
        parameters["intra_op_thread_count"] = str(threads)
    needs = "a server with ONNX Runtime 1.20 or newer"
    library = None
    if operator_library and metadata.operators:
        library = operator_library_path()
        backend["model_operations"] = {"op_library_filename": [str(place / library.name)]}
        needs += " on processors of the kind that the operator library was built for"
    return Served(
        metadata, "model.onnx", max_batch, backend, needs, parameters=parameters, library=library
    )


def _engine(model: Path, place: PurePosixPath, max_batch: int | None) -> Served:
    """Return how an engine is served, as its sidecar says."""
    sidecar = read_sidecar(model)
    if sidecar.backend != "tensorrt":
        raise IncompatibleArtifactError(
            f"{model} was built by {sidecar.backend}, for which Triton Inference Server has no "
            "backend; build it with 'adafuse-deploy build-engine --backend tensorrt'."
        )
    if sidecar.batch.min > 1:
        raise InputError(
            f"{model} takes at least {sidecar.batch.min} clips, and a server may have one; build "
            "it again with --min-batch 1."
        )
    if max_batch is not None and max_batch > sidecar.batch.max:
        raise InputError(
            f"{model} takes at most {sidecar.batch.max} clips, not {max_batch}; build it again "
            "with another --max-batch, or leave it out here."
        )
    backend: dict[str, Any] = {
        "backend": "tensorrt",
        "default_model_filename": "model.plan",
        "instance_group": [{"count": 1, "kind": Word("KIND_GPU")}],
    }
    library = None
    options: tuple[str, ...] = ()
    if sidecar.operators is not None and sidecar.operators.embedded:
        options = ("--backend-config=tensorrt,version-compatible=true",)
    elif sidecar.operators is not None:
        library = plugin_library.library_for(model, sidecar.operators)
        options = (f"--backend-config=tensorrt,plugins={place / library.name}",)
    needs = (
        f"a server with TensorRT {sidecar.backend_version} on a GPU of compute capability "
        f"{' or '.join(sidecar.compute_capabilities)}"
    )
    return Served(
        sidecar.metadata,
        "model.plan",
        max_batch or sidecar.batch.max,
        backend,
        needs,
        library=library,
        server_options=options,
    )
