"""Finding and registering the operator library."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import adafuse_deploy
from adafuse_deploy.core.errors import InputError, MissingDependencyError
from adafuse_deploy.ops.library import (
    ENVIRONMENT_VARIABLE,
    FILE_NAME,
    library_hash,
    operator_library_path,
    register,
)

ort = pytest.importorskip("onnxruntime")


@pytest.fixture
def no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)


def make_library(folder: Path) -> Path:
    path = folder / "lib" / FILE_NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no library")
    return path


@pytest.mark.usefixtures("no_override")
def test_installed_library_loads() -> None:
    assert operator_library_path().is_absolute()
    register(ort.SessionOptions())


@pytest.mark.usefixtures("no_override")
def test_registering_twice_is_harmless(tiny_graph: Path) -> None:
    options = ort.SessionOptions()
    register(options)
    register(options)
    register(options, operator_library_path())
    assert ort.InferenceSession(tiny_graph, options).get_inputs()[0].name == "frames"


@pytest.mark.usefixtures("no_override")
def test_two_libraries_for_the_same_options_are_refused(tmp_path: Path) -> None:
    other = tmp_path / FILE_NAME
    other.write_bytes(operator_library_path().read_bytes())
    options = ort.SessionOptions()
    register(options)
    with pytest.raises(InputError, match="already"):
        register(options, other)


@pytest.mark.usefixtures("no_override")
def test_library_is_found_in_any_folder_of_an_editable_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = make_library(tmp_path / "site-packages")
    folders = [str(tmp_path / "sources"), str(tmp_path / "site-packages")]
    monkeypatch.setattr(adafuse_deploy, "__path__", folders)
    assert operator_library_path() == built


@pytest.mark.usefixtures("no_override")
def test_missing_library_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adafuse_deploy, "__path__", [str(tmp_path)])
    with pytest.raises(MissingDependencyError, match="install adafuse-deploy again"):
        operator_library_path()


def test_environment_variable_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = make_library(tmp_path)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(library))
    assert operator_library_path() == library
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "absent.so"))
    with pytest.raises(MissingDependencyError, match=f"named by {ENVIRONMENT_VARIABLE}, is not"):
        operator_library_path()


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"absent\.so, given, is not a file"):
        register(ort.SessionOptions(), tmp_path / "absent.so")


def test_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="is no operator library"):
        register(ort.SessionOptions(), make_library(tmp_path))


@pytest.mark.skipif(shutil.which("nm") is None, reason="binutils are not installed")
def test_library_exports_what_its_map_names_and_nothing_else() -> None:
    """Anything more could be mixed up with the symbols of another library in the process."""
    exports = (Path(__file__).parents[2] / "native" / "ort" / "exports.map").read_text()
    named = re.findall(r"\w+(?=;)", exports.partition("global:")[2].partition("local:")[0])
    command = ["nm", "--dynamic", "--defined-only", "--format=posix", operator_library_path()]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "RegisterCustomOps" in named
    assert {line.split()[0] for line in listed.splitlines()} == set(named)


def test_library_hash_is_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "library.so"
    file.write_bytes(b"abc")
    assert library_hash(file) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
