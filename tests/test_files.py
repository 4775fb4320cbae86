import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from medseg import files
from medseg.errors import MachineError, ScanError
from medseg.files import append_line, machine_error, whole_file, whole_files, write_text

NOT_ROOT = not hasattr(os, "getuid") or os.getuid() != 0


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(part):
    part.write_bytes(b"half")
    raise ZeroDivisionError


@pytest.fixture(params=[0o022, 0o002, 0o077, 0o027])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    if NOT_ROOT or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_text_is_written_whole(tmp_path):
    file = tmp_path / "text"
    write_text(file, "one")
    write_text(file, "zwei ä\nand more")
    assert file.read_text(encoding="utf-8") == "zwei ä\nand more"
    assert entries(tmp_path) == ["text"]
    write_text(file, '"\udcff"')
    assert json.loads(file.read_text(encoding="utf-8")) == "\udcff"
    write_text(file, "zwei ä\nand more")
    append_line(file, "a line")
    append_line(file, "another")
    assert file.read_text(encoding="utf-8").endswith("and morea line\nanother\n")


@pytest.mark.parametrize("write", [whole_file, whole_files])
def test_what_fails_leaves_the_old_file_and_nothing_else(write, tmp_path):
    file = tmp_path / "f.bin"
    file.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), write(file) as part:
        write_half(part)
    assert file.read_bytes() == b"old"
    assert entries(tmp_path) == ["f.bin"]


@pytest.mark.parametrize("name", ["whole_file", "whole_files"])
def test_a_kill_leaves_the_old_file_and_the_next_writer_tidies_up(name, tmp_path):
    file = tmp_path / "f.bin"
    file.write_bytes(b"old")
    code = (
        f"import os, signal, sys, pathlib, medseg.files as files\n"
        f"with files.{name}(pathlib.Path(sys.argv[1])) as part:\n"
        f"    part.write_bytes(b'half')\n"
        f"    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, file], check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.read_bytes() == b"old"
    assert len(entries(tmp_path)) == 2
    (left,) = (name for name in entries(tmp_path) if name != file.name)
    assert left.startswith(".")  # no layout, glob or reader takes it for something
    with getattr(files, name)(file) as part:
        part.write_bytes(b"new")
    assert file.read_bytes() == b"new"
    assert entries(tmp_path) == ["f.bin"]


def test_what_another_process_writes_now_is_let_be(tmp_path):
    theirs = tmp_path / f".f.bin.{os.getppid()}.part"
    other_file = tmp_path / ".g.bin.4194999.part"
    for part in (theirs, other_file):
        part.write_bytes(b"half")
    with whole_file(tmp_path / "f.bin") as part:
        part.write_bytes(b"mine")
    assert theirs.exists()
    assert other_file.exists()


def test_the_data_of_a_header_is_there_before_it(tmp_path, monkeypatch):
    moved = []
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda path, to: moved.append(Path(to).name) or replace(path, to)
    )
    target = tmp_path / "new" / "a.mhd"
    with whole_files(target) as path:
        for name in ("z.raw", path.name, "a.raw"):
            path.with_name(name).touch()
    assert moved == ["a.raw", "z.raw", "a.mhd"]
    assert entries(tmp_path / "new") == ["a.mhd", "a.raw", "z.raw"]


def test_permissions_follow_the_umask(umask, tmp_path):
    write_text(tmp_path / "text", "x")
    with whole_file(tmp_path / "weights", durable=True) as part:
        save_file({"a": torch.zeros(2)}, part)  # which writes for the owner alone
    with whole_files(tmp_path / "new" / "a.npy") as path:
        np.save(path, np.zeros(3))
    for file in ("text", "weights", "new/a.npy"):
        assert (tmp_path / file).stat().st_mode & 0o777 == 0o666 & ~umask, file
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.mark.parametrize("write", [whole_file, whole_files])
def test_a_name_may_be_as_long_as_the_disk_allows(write, tmp_path):
    for name in ("a" * 251 + ".nii", "ä" * 125 + ".nii"):
        with write(tmp_path / name) as part:
            part.write_bytes(b"x")
        assert (tmp_path / name).read_bytes() == b"x"
    assert len(entries(tmp_path)) == 2


@pytest.mark.parametrize("write", [whole_file, whole_files])
def test_a_full_disk_is_named_with_the_file_that_was_asked_for(write, tiny_disk):
    file = tiny_disk / "f.bin"
    file.write_bytes(b"old")
    with pytest.raises(MachineError) as caught, write(file) as part:
        part.write_bytes(bytes(100_000))
    error = caught.value
    assert (error.subject, error.what) == (str(file), "no space left on the disk")
    assert error.remedy
    assert file.read_bytes() == b"old"
    assert entries(tiny_disk) == ["f.bin"]
    log = tiny_disk / "log.txt"
    with pytest.raises(MachineError, match="no space") as caught:
        append_line(log, "x" * 100_000)
    assert caught.value.subject == str(log)


@pytest.mark.parametrize("library", ["torch", "safetensors"])
def test_libraries_that_know_no_numbers_are_understood(library, tiny_disk):
    weights = {"a": torch.zeros(50_000), "b": torch.zeros(3)}
    save = {"safetensors": save_file, "torch": torch.save}[library]
    with (
        pytest.raises(MachineError, match=r"f\.bin: no space left on the disk"),
        whole_file(tiny_disk / "f.bin") as part,
        part.open("wb") as file,
    ):
        save(weights, part if library == "safetensors" else file)
    assert entries(tiny_disk) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EMFILE, "too many open files"),
        (errno.ENFILE, "too many open files on this machine"),
        (errno.ENOMEM, "out of memory"),
        (errno.ENOSPC, "no space left"),
        (errno.EIO, "the disk failed"),
        (errno.EROFS, "read-only"),
        (errno.EFBIG, "no file as large"),
        *(
            (getattr(errno, name), said)
            for name, said in (("EDQUOT", "quota"), ("ESTALE", "share went away"))
            if hasattr(errno, name)
        ),
    ],
)
def test_the_machine_is_found_at_the_root_of_an_error(number, said):
    def wrapped():
        try:
            try:
                raise OSError(number, os.strerror(number))
            except OSError as error:
                raise RuntimeError("cannot read") from error
        except RuntimeError:
            raise ScanError("a.nii", "is damaged", "copy it again") from None

    for failure in (OSError(number, os.strerror(number), "x"), wrapped):
        try:
            raise failure() if failure is wrapped else failure
        except (OSError, ScanError) as caught:
            error = machine_error(caught, "a.nii")
        assert error is not None
        assert error.subject == "a.nii"
        assert said in error.what
        assert error.remedy


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 4 TiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("ITK ERROR: could not open. Reason: Too many open files"),
    ],
)
def test_libraries_say_it_in_words(error):
    assert machine_error(error, "x") is not None


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError("out of memory"),
        KeyError("No space left on device"),
        RuntimeError("shape mismatch"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "a"),
        PermissionError(errno.EACCES, "Permission denied", "a"),
        OSError("not a gzip file"),
        EOFError(),
        ScanError("out of memory.nii.gz", "Too many open files", "no text of ours is parsed"),
    ],
)
def test_a_fault_of_a_file_is_none_of_the_machine(error):
    assert machine_error(error, "x") is None


def test_numbers_of_windows_say_more():
    error = type("WindowsError", (OSError,), {"winerror": 1455})(errno.EINVAL, "page file")
    failure = machine_error(error, "x")
    assert failure is not None
    assert failure.what == "out of memory"
    assert machine_error(OSError(errno.EINVAL, "page file"), "x") is None


def test_it_loads_where_names_of_errors_are_missing(monkeypatch):
    for name in ("ESTALE", "EDQUOT"):
        monkeypatch.delattr(errno, name, raising=False)
    again = importlib.util.module_from_spec(files.__spec__)
    files.__spec__.loader.exec_module(again)
    assert again.machine_error(OSError(errno.ENOSPC, "full"), "x").what.startswith("no space")


def test_an_error_of_the_user_names_the_file_too(tmp_path):
    (tmp_path / "file").touch()
    for write, where in ((whole_file, "absent/f"), (whole_files, "file/f")):
        with pytest.raises(OSError, match=f"{where}'") as caught, write(tmp_path / where) as part:
            part.touch()
        assert caught.value.filename == str(tmp_path / where)


def test_what_must_survive_a_power_cut_reaches_the_disk_first(tmp_path, monkeypatch):
    done = []
    replace = Path.replace
    monkeypatch.setattr(files.os, "fsync", lambda _: done.append("fsync"))
    monkeypatch.setattr(Path, "replace", lambda a, b: done.append("replace") or replace(a, b))
    for durable in (True, False):
        with whole_file(tmp_path / "f", durable=durable) as part:
            part.touch()
    assert done == ["fsync", "replace", "replace"]
