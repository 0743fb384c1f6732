"""One function that opens whatever adafuse-deploy makes."""

from __future__ import annotations

import os

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.hub import local_file
from adafuse_deploy.core.packages import need
from adafuse_deploy.core.process import MOST_THREADS
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.signature import REQUIRED, check_signature
from adafuse_deploy.engines.suffixes import CHECKPOINTS, ENGINES, GRAPHS


def load_engine(
    path: str | os.PathLike[str],
    operator_library: bool | str | os.PathLike[str] = True,
    threads: int | None = None,
    *,
    device: str | None = None,
    backend: str = "onnxruntime",
    precision: str | None = None,
    signed_by: str | os.PathLike[str] | None = None,
) -> Engine:
    """Open a graph, an engine or a checkpoint for inference.

    The runtime follows from the file: ``.onnx`` runs in ONNX Runtime (or OpenVINO), ``.engine`` and
    ``.plan`` in what built them, as their sidecar says, ``.safetensors`` and ``.pt`` in PyTorch.

    Args:
        path: the file; or a repository on Hugging Face, ``owner/name`` (with ``huggingface_hub``;
            ``hf:owner/name/file@revision`` says which file), whose graph or checkpoint is taken.
        operator_library: for ``.onnx`` in ONNX Runtime: True runs gated convolutions on our native
            kernels, which skip what the policies skip; a path names another library file; False is
            plain ONNX Runtime on the function bodies, which computes everything.
        threads: of the runtime on the CPU; None lets it choose.
        device: "cpu", "cuda" or "cuda:<index>"; None is the GPU for engines, the CPU otherwise.
        backend: for ``.onnx``: "onnxruntime" or "openvino".
        precision: of arithmetic in OpenVINO ("fp32", "bf16", "fp16") and PyTorch ("fp32", "bf16");
            None is "fp32" there.  Other runtimes compute as the file was built.
        signed_by: public key in PEM that must have signed the file
            (:func:`~adafuse_deploy.engines.signature.check_signature`); None is what the
            environment variable ADAFUSE_REQUIRE_SIGNATURE says, or no such demand.

    Raises:
        InputError: the file is missing, damaged, or none of these.
        MissingDependencyError: its runtime, the operator library or a GPU is missing.
        IncompatibleArtifactError: an engine of other versions or hardware, changed since built, or
            not signed by the key.
    """
    path = local_file(path, (*GRAPHS, *CHECKPOINTS))
    if key := signed_by or os.environ.get(REQUIRED):
        check_signature(path, key)
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise InputError(f"The number of threads is 1 to {MOST_THREADS}, not {threads}.")
    if precision and path.suffix not in CHECKPOINTS and backend != "openvino":
        raise InputError(
            f"{path.name} computes as it was built; choose its precision with build-engine, or "
            "leave it out here."
        )
    if path.suffix in ENGINES:
        from adafuse_deploy.engines.tensorrt_engine import TensorRTEngine

        return TensorRTEngine(path, device=device or "cuda")
    if path.suffix in CHECKPOINTS:
        from adafuse_deploy.core.files import sha256
        from adafuse_deploy.engines.pytorch_engine import TorchEngine
        from adafuse_deploy.models.weight_files import existing

        existing(path)
        need("torch")
        from adafuse_deploy.models.checkpoint import load_model

        model = load_model(path)
        return TorchEngine(
            model,
            sha256(path),
            threads=threads,
            device=device or "cpu",
            precision=precision or "fp32",
        )
    if path.suffix not in GRAPHS:
        raise InputError(
            f"{path} is none of the files that run: a graph ({', '.join(GRAPHS)}), an engine "
            f"({', '.join(ENGINES)}) or a checkpoint ({', '.join(CHECKPOINTS)})."
        )
    if backend == "openvino":
        from adafuse_deploy.engines.openvino_engine import OpenVINOEngine

        return OpenVINOEngine(
            path, threads=threads, device=device or "cpu", precision=precision or "fp32"
        )
    if backend != "onnxruntime":
        raise InputError(f"A graph runs in 'onnxruntime' or 'openvino', not in {backend!r}.")
    from adafuse_deploy.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(
        path, operator_library=operator_library, threads=threads, device=device or "cpu"
    )
