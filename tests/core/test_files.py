"""Written files: what a name stands for is kept, and nothing half-written is left."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import atomic_path, check_target, write_text


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "x")
    (tmp_path / "other").write_text("x")
    assert _mode(tmp_path / "ours") == _mode(tmp_path / "other")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_an_existing_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "private.json"
    path.write_text("old")
    path.chmod(mode)
    write_text(path, "new")
    assert path.read_text() == "new" and _mode(path) == mode


def test_an_existing_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    path.write_text("old")
    try:
        os.chown(path, 12345, 23456)
    except PermissionError as error:
        pytest.skip(f"only root gives files away: {error}")
    write_text(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)
    assert path.read_text() == "new"


@pytest.mark.parametrize(("call", "number"), [("chmod", errno.EPERM), ("replace", errno.EBUSY)])
def test_what_cannot_be_replaced_is_written_into(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's file; a file that is mounted by itself."""
    path = tmp_path / "theirs.json"
    path.write_text("a longer old content")
    before = path.stat()

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_ino == before.st_ino and list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    real, link, chain = tmp_path / "disk" / "real.onnx", tmp_path / "link.onnx", tmp_path / "chain"
    real.parent.mkdir()
    real.write_text("old")
    link.symlink_to(Path("disk") / "real.onnx")
    chain.symlink_to(link)
    write_text(chain, "new")
    assert chain.is_symlink() and link.is_symlink() and not real.is_symlink()
    assert real.read_text() == "new"
    assert list(real.parent.iterdir()) == [real]


def test_a_link_to_nothing_yet_makes_its_file(tmp_path: Path) -> None:
    link, real = tmp_path / "link", tmp_path / "real"
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new"


def test_a_device_is_written_to(null_device: Path) -> None:
    write_text(null_device, "gone")
    assert stat.S_ISCHR(null_device.stat().st_mode)
    assert list(null_device.parent.iterdir()) == [null_device]


def test_a_full_device_is_a_sentence(full_device: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot write .*full: No space left on device"):
        write_text(full_device, "much")
    assert stat.S_ISCHR(full_device.stat().st_mode)


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write_text(pipe, "through")
    reader.join(10)
    assert got == ["through"] and stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1"])
def test_our_own_output_is_written_to(tmp_path: Path, name: str) -> None:
    """Redirected to a file, or to a pipe: text before and after it keeps its place."""
    script = (
        "from adafuse_deploy.core.files import write_text\n"
        "print('before', flush=True)\n"
        f"write_text({name!r}, 'report\\n')\n"
        "print('after', flush=True)\n"
    )
    wanted = "before\nreport\nafter\n"
    piped = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert piped.stdout == wanted, piped.stderr
    target = tmp_path / "out.txt"
    with target.open("w") as file:
        subprocess.run([sys.executable, "-c", script], stdout=file, check=True)
    assert target.read_text() == wanted and list(tmp_path.iterdir()) == [target]


def test_what_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name, reason in [
        ("none/x.json", r"there is no folder .*none; make it"),
        ("folder", "it is a folder"),
        ("circle", "symbolic link"),
    ]:
        with pytest.raises(InputError, match=rf"Cannot write .*{name} \(--json\): .*{reason}"):
            check_target(tmp_path / name, "--json")
        with pytest.raises(InputError, match="Cannot write"):
            write_text(tmp_path / name, "x")


def test_write_protection_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user; root may write everything, so the system's answer is put in its place."""
    path = tmp_path / "protected"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda name, _: Path(name) != path)
    with pytest.raises(InputError, match="write-protected"):
        write_text(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_nothing(tmp_path: Path, number: signal.Signals) -> None:
    target = tmp_path / "model.onnx"
    target.write_text("old")
    script = (
        "import click, signal, sys, time\n"
        "import adafuse_deploy.cli as cli\n"
        "from adafuse_deploy.core.files import atomic_path\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup may have run the tests\n"
        "def work(**_):\n"
        f"    with atomic_path({str(target)!r}) as path:\n"
        "        path.write_text('half')\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "cli.Verbs.get_command = lambda *_: click.Command('doctor', callback=work)\n"
        "cli.main(['doctor'])\n"
    )
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(list(tmp_path.iterdir())) == 2
        process.send_signal(number)
        error = process.stderr.read().decode()
    assert process.returncode == 128 + number
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == [target] and target.read_text() == "old"


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    script = (
        "import os, signal\n"
        "from adafuse_deploy.core.process import clean_exit\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with clean_exit():\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print('goes on')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "goes on\n")


def test_nothing_is_left_when_the_block_fails(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 250)
    with pytest.raises(KeyError), atomic_path(target) as path:
        path.write_text("half")
        assert time.time() - path.stat().st_mtime < 60
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    write_text(target, "whole")
    assert target.read_text() == "whole"
