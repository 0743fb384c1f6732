"""Signatures: what is signed is accepted by its key, and nothing else is by any."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import adafuse_deploy
from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED_GRAPH
from adafuse_deploy.core.errors import IncompatibleArtifactError, InputError
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.engines.signature import REQUIRED, check_signature, sign, signature_path
from tests.nvidia import write_engine
from tests.support import run_cli

pytest.importorskip("model_signing", reason="the extra [sign] is not installed")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one.pem and one.pub, two.pem and two.pub, an encrypted key and one of RSA."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("one", "two"):
        _openssl(folder, f"ecparam -name prime256v1 -genkey -noout -out {name}.pem")
        _openssl(folder, f"ec -in {name}.pem -pubout -out {name}.pub")
    _openssl(folder, "ec -in one.pem -aes256 -passout pass:secret -out encrypted.pem")
    _openssl(folder, "genpkey -algorithm ed25519 -out other.pem")
    return folder


def _openssl(folder: Path, words: str) -> None:
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def metadata() -> GraphMetadata:
    with adafuse_deploy.load_engine(SHIPPED_GRAPH) as engine:
        return engine.metadata


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return Path(shutil.copy(SHIPPED_GRAPH, tmp_path / "model.onnx"))


def _folder(tmp_path: Path, metadata: GraphMetadata) -> Path:
    (tmp_path / "repository" / "1").mkdir(parents=True)
    (tmp_path / "repository" / "1" / "model.onnx").write_bytes(b"a graph")
    (tmp_path / "repository" / ".gitignore").write_text("*")
    return tmp_path / "repository"


def _file(tmp_path: Path, metadata: GraphMetadata) -> Path:
    (tmp_path / "ckpt.pt").write_bytes(b"weights")
    return tmp_path / "ckpt.pt"


def _engine(tmp_path: Path, metadata: GraphMetadata) -> Path:
    write_engine(tmp_path / "model.engine", b"engine", metadata)
    return tmp_path / "model.engine"


@pytest.mark.parametrize("make", [_file, _engine, _folder])
def test_what_was_signed_is_accepted(
    make: Callable[[Path, GraphMetadata], Path],
    metadata: GraphMetadata,
    keys: Path,
    tmp_path: Path,
) -> None:
    model = make(tmp_path, metadata)
    assert sign(model, keys / "one.pem") == signature_path(model)
    check_signature(model, keys / "one.pub")
    with pytest.raises(IncompatibleArtifactError, match=r"of another key"):
        check_signature(model, keys / "two.pub")


@pytest.mark.parametrize("change", ["1/model.onnx", ".gitignore", "1/new", ".git/hooks"])
def test_folders_that_changed_are_refused(
    change: str, metadata: GraphMetadata, keys: Path, tmp_path: Path
) -> None:
    model = _folder(tmp_path, metadata)
    sign(model, keys / "one.pem")
    (model / change).parent.mkdir(exist_ok=True)
    (model / change).write_text("changed")
    with pytest.raises(IncompatibleArtifactError, match=rf"{change}.*\)\.$") as error:
        check_signature(model, keys / "one.pub")
    assert "Digest" not in str(error.value)


def test_engines_that_changed_are_refused(
    metadata: GraphMetadata, keys: Path, tmp_path: Path
) -> None:
    model = _engine(tmp_path, metadata)
    sign(model, keys / "one.pem")
    model.write_bytes(b"another")
    with pytest.raises(IncompatibleArtifactError, match="was changed or cut short"):
        check_signature(model, keys / "one.pub")
    with pytest.raises(IncompatibleArtifactError, match="was changed or cut short"):
        sign(model, keys / "one.pem")
    write_engine(model, b"another", metadata)  # with a sidecar that fits
    with pytest.raises(IncompatibleArtifactError, match="is not what the owner of"):
        check_signature(model, keys / "one.pub")


def test_damaged_signatures_get_a_sentence(graph: Path, keys: Path) -> None:
    whole = sign(graph, keys / "one.pem").read_bytes()
    rng = random.Random(0)
    for cut in range(40):
        content = bytearray(whole)
        if cut % 2:
            del content[rng.randrange(len(content)) :]
        else:
            content[rng.randrange(len(content))] = rng.randrange(256)
        if bytes(content) == whole:
            continue
        signature_path(graph).write_bytes(content)
        try:
            check_signature(graph, keys / "one.pub")
        except IncompatibleArtifactError as error:
            assert "\n" not in str(error)
        else:  # what a signature says beside the signed statement is not looked at
            assert len(content) == len(whole)


def test_verbs_and_engines_refuse(
    graph: Path, keys: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    classify = ("classify", SAMPLE_VIDEO, "--model", graph, "--require-signature")
    assert run_cli(*classify, keys / "one.pub") == 4
    assert "is not signed: there is no model.onnx.sig" in capsys.readouterr().err
    assert run_cli("sign", graph, "--key", keys / "one.pem") == 0
    assert run_cli(*classify, keys / "one.pub") == 0
    assert run_cli(*classify, keys / "two.pub") == 4
    other = shutil.copy(graph, graph.with_name("other.onnx"))
    assert run_cli("verify", graph, other, "--require-signature", keys / "one.pub") == 4
    assert "other.onnx is not signed" in capsys.readouterr().err
    with adafuse_deploy.load_engine(graph, signed_by=keys / "one.pub"):
        pass
    monkeypatch.setenv(REQUIRED, str(keys / "two.pub"))
    assert run_cli("inspect", graph) == 4
    with pytest.raises(IncompatibleArtifactError):
        adafuse_deploy.load_engine(graph)


def test_unusable_keys(
    graph: Path, keys: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("other.pem", "encrypted.pem", "one.pub"):
        assert run_cli("sign", graph, "--key", keys / name) == 1
        assert "is no private key that can be used" in capsys.readouterr().err
    assert not signature_path(graph).exists()
    monkeypatch.setenv("ADAFUSE_KEY_PASSWORD", "secret")
    assert run_cli("sign", graph, "--key", keys / "encrypted.pem") == 0
    for name in ("one.pem", "other.pem"):
        with pytest.raises(InputError, match="is no public key that can be used"):
            check_signature(graph, keys / name)
    with pytest.raises(InputError, match=r"There is no key .*openssl ecparam"):
        check_signature(graph, keys / "absent.pub")
