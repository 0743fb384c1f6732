"""Signatures of models: who made a file, said by a key (OpenSSF Model Signing, model-signing).

A graph or a checkpoint is signed as it is; an engine by its sidecar, which has the engine's hash;
a folder, such as a model repository of Triton, with every file in it.  The signature is a Sigstore
bundle beside what is signed, ``model.onnx.sig``, which other programs of the format read as well.
Keys are elliptic ones (P-256, P-384 or P-521) in PEM; nothing is looked up or sent.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError
from adafuse_deploy.core.files import atomic_path
from adafuse_deploy.core.packages import need
from adafuse_deploy.engines.suffixes import ENGINES

HOW_TO_MAKE_KEYS = (
    "'openssl ecparam -name prime256v1 -genkey -noout -out key.pem' makes a private key, 'openssl "
    "ec -in key.pem -pubout -out key.pub' the public one"
)


REQUIRED = "ADAFUSE_REQUIRE_SIGNATURE"
"""Environment variable: a public key that must have signed every model that is opened."""


def signature_path(model: str | os.PathLike[str]) -> Path:
    """Return where the signature of a model lies: beside what is signed, with ``.sig`` behind."""
    return Path(f"{_signed(Path(model))}.sig")


def sign(
    model: str | os.PathLike[str],
    private_key: str | os.PathLike[str],
    *,
    password: str | None = None,
) -> Path:
    """Sign a model and return where the signature lies, :func:`signature_path`.

    Args:
        model: a graph, a checkpoint, an engine with its sidecar, or a folder.
        private_key: elliptic key in PEM.
        password: of an encrypted key.

    Raises:
        InputError: the model or the key cannot be read, or the signature cannot be written.
        IncompatibleArtifactError: an engine that is not what its sidecar says.
        MissingDependencyError: model-signing is not installed.
    """
    model = _existing(Path(model))
    _check_engine(model)
    key = _key(private_key)
    need("model_signing")
    from model_signing.signing import Config

    with _quiet():
        try:
            # The library declares text, and cryptography below it wants bytes.
            secret: Any = None if password is None else password.encode()
            signer = Config().use_elliptic_key_signer(private_key=key, password=secret)
        except _UNUSABLE_KEY as error:
            raise InputError(
                f"{key} is no private key that can be used here: an elliptic one in PEM, with its "
                f"password if it is encrypted; {HOW_TO_MAKE_KEYS}."
            ) from error
        with atomic_path(signature_path(model)) as temporary:
            try:
                signer.set_hashing_config(_every_file()).sign(_signed(model).resolve(), temporary)
            except ValueError as error:
                raise InputError(f"{model} cannot be signed: {_line(error)}.") from error
    return signature_path(model)


def check_signature(model: str | os.PathLike[str], public_key: str | os.PathLike[str]) -> None:
    """Refuse a model unless the key signed it, byte for byte.

    A signature says who made a file, not which of his files it is.  Between this check and the
    reading of the file nobody else should be able to change it.

    Args:
        model: a graph, a checkpoint, an engine with its sidecar, or a folder.
        public_key: elliptic key in PEM.

    Raises:
        InputError: the model or the key cannot be read.
        IncompatibleArtifactError: there is no signature, it is another's, or the model changed.
        MissingDependencyError: model-signing is not installed.
    """
    model = _existing(Path(model))
    key = _key(public_key)
    signature = signature_path(model)
    if not signature.is_file():
        raise IncompatibleArtifactError(
            f"{model} is not signed: there is no {signature.name} beside it, which 'adafuse-deploy "
            "sign' makes."
        )
    need("model_signing")
    from model_signing.verifying import Config

    with _quiet():
        try:
            verifier = Config().use_elliptic_key_verifier(public_key=key)
        except _UNUSABLE_KEY as error:
            raise InputError(
                f"{key} is no public key that can be used here, an elliptic one in PEM; "
                f"{HOW_TO_MAKE_KEYS}."
            ) from error
        try:
            verifier.set_hashing_config(_every_file()).verify(_signed(model).resolve(), signature)
        # Whatever the readers of JSON, base64 and Protocol Buffers below the library raise.
        except Exception as error:
            raise IncompatibleArtifactError(
                f"{model} is not what the owner of {key} signed: it was changed, or "
                f"{signature.name} is damaged or of another key ({_line(error)})."
            ) from error
    _check_engine(model)


_UNUSABLE_KEY = (ValueError, TypeError, AttributeError)
"""What comes of files that are no PEM, of wrong passwords, and of keys that are not elliptic."""


def _signed(model: Path) -> Path:
    if model.suffix not in ENGINES:
        return model
    from adafuse_deploy.engines.sidecar import sidecar_path  # with NumPy, which --help does without

    return sidecar_path(model)


def _existing(model: Path) -> Path:
    if not model.exists():
        raise InputError(f"There is no {model}.")
    return model


def _check_engine(model: Path) -> None:
    if model.suffix in ENGINES:
        from adafuse_deploy.engines.sidecar import read_sidecar

        read_sidecar(model)


def _key(path: str | os.PathLike[str]) -> Path:
    if not Path(path).is_file():
        raise InputError(f"There is no key {path}; {HOW_TO_MAKE_KEYS}.")
    return Path(path)


def _every_file() -> Any:
    """How files are hashed: all of a folder, also those of git, which the library leaves out."""
    from model_signing.hashing import Config

    return Config().set_ignored_paths(paths=(), ignore_git_paths=False)


def _line(error: Exception) -> str:
    """What an error says, without the hashes that follow the names of files."""
    text = re.sub(r": Expected 'Digest.*?\)'\"", '"', " ".join(str(error).split()))
    return text.rstrip(".") or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of the library's own log: errors are worded here."""
    log = logging.getLogger("model_signing")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
