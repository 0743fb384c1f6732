"""The package's public surface and its building blocks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import adafuse_deploy
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import atomic_path, sha256, write_text


def test_every_public_name_loads() -> None:
    for name in adafuse_deploy.__all__:
        assert getattr(adafuse_deploy, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        adafuse_deploy.nothing  # noqa: B018
    assert (adafuse_deploy.KEEP, adafuse_deploy.REUSE, adafuse_deploy.SKIP) == (0, 1, 2)


@pytest.mark.parametrize("said", [None, "0"])
def test_onnx_runtime_sends_nothing_unless_told_to(said: str | None) -> None:
    environment = {name: text for name, text in os.environ.items() if "TELEMETRY" not in name}
    environment |= {} if said is None else {"ORT_DISABLE_TELEMETRY": said}
    shown = "import adafuse_deploy, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", shown], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (said or "1")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    with pytest.raises(InputError, match="No space left"), atomic_path(target) as temporary:
        raise OSError(errno.ENOSPC, "No space left on device")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sha256(tmp_path / "plain") == sha256(tmp_path / "atomic")


class _Unreadable(torch.utils.data.Dataset[int]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise InputError("The frame 00001.jpg cannot be read.")


def test_errors_of_data_loading_processes_stay_one_sentence() -> None:
    loader = torch.utils.data.DataLoader(_Unreadable(), num_workers=1)
    with pytest.raises(InputError) as error:
        next(iter(loader))
    assert str(error.value) == "The frame 00001.jpg cannot be read."
