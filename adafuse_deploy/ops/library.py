"""The operator library for ONNX Runtime: where it is and how a session gets it.

Any program can use the library without Python through ONNX Runtime's RegisterCustomOpsLibrary.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from adafuse_deploy.core.errors import InputError, MissingDependencyError
from adafuse_deploy.core.files import sha256
from adafuse_deploy.core.native_library import NativeLibrary

if TYPE_CHECKING:
    import onnxruntime

FILE_NAME = "libadafuse_onnxruntime.so"
ENVIRONMENT_VARIABLE = "ADAFUSE_OPERATOR_LIBRARY"
"""Names a library file to use instead of the installed one."""
_CONFIG_ENTRY = "adafuse.operator_library"
"""The entry of session options that says which library they have."""


_LIBRARY = NativeLibrary(
    "operator library",
    FILE_NAME,
    ENVIRONMENT_VARIABLE,
    "correct the path or leave it out to use the installed library",
)


def operator_library_path() -> Path:
    """Return the absolute path of the operator library.

    That is the file named by ``ADAFUSE_OPERATOR_LIBRARY`` if the variable is set, otherwise the one
    installed with this package.

    Raises:
        MissingDependencyError: there is no such file.
    """
    found = _LIBRARY.find()
    if found is None:
        raise MissingDependencyError(
            f"The operator library {FILE_NAME} is not installed in "
            f"{_LIBRARY.places()[0].parent}: install adafuse-deploy again with pip, which builds "
            "it with a C++ compiler, or run without it (operator_library=False)."
        )
    return found


def register(
    session_options: onnxruntime.SessionOptions, path: str | os.PathLike[str] | None = None
) -> None:
    """Let sessions made with ``session_options`` run our operators on native kernels.

    Doing it again with the same options does no harm.

    Args:
        session_options: options to be passed to an ``onnxruntime.InferenceSession``.
        path: library file; :func:`operator_library_path` by default.

    Raises:
        MissingDependencyError: the library does not exist or cannot be loaded.
        InputError: the options have another operator library already.
    """
    library = operator_library_path() if path is None else _LIBRARY.existing(path, "given")
    registered = _registered(session_options)
    if registered is not None:
        if Path(registered).samefile(library):
            return  # ONNX Runtime would accept it and then refuse every session
        raise InputError(
            f"The session options have the operator library {registered} already; make new "
            f"onnxruntime.SessionOptions for {library}."
        )
    try:
        session_options.register_custom_ops_library(str(library))
    except Exception as error:  # onnxruntime has no common class for its errors
        raise MissingDependencyError(
            f"ONNX Runtime cannot load the operator library {library}: {error}. Usual causes: it "
            "was built for another kind of processor or a newer C library, ONNX Runtime is older "
            "than 1.20, or the file is no operator library. Install adafuse-deploy again on this "
            "machine."
        ) from error
    session_options.add_session_config_entry(_CONFIG_ENTRY, str(library))


def _registered(session_options: onnxruntime.SessionOptions) -> str | None:
    """Return the library that :func:`register` gave to the options, or None."""
    try:
        path: str = session_options.get_session_config_entry(_CONFIG_ENTRY)
    except RuntimeError:  # there is no such entry
        return None
    return path


def library_hash(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a library file, which engines record, as 64 hexadecimal digits."""
    return sha256(path)
