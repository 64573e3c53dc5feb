"""What can be wrong with a file that a user names, each with its own text."""

import os
import pickle
import socket
import zipfile

import numpy as np
import pytest

from hmrl_cli import config, inputs
from hmrl_cli.config import presets
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.runner import tasks as task_files
from hmrl_cli.storage import checkpoints
from hmrl_cli.storage.naming import open_run

TOML = '# Söhne\n[family]\nname = "point"\n'


def place(kind, folder):
    """A path to something that is no regular file."""
    path = folder / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("nothing")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("pipe", "is a pipe"),
        ("socket", "is a socket"),
        ("directory", "is a directory"),
        ("device", "is a device"),
        ("link", "is a link to nothing"),
        ("loop", "cannot be looked at: Too many levels of symbolic links"),
        ("absent", "does not exist"),
        ("a\0b", "is no path"),
    ],
)
def test_what_is_no_file_is_not_opened(tmp_path, monkeypatch, kind, expected):
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    path = place(kind, tmp_path.relative_to(tmp_path))
    assert inputs.why_no_file(path) == expected
    with pytest.raises(ConfigError, match=f"mine.toml: {expected}"):
        presets.read(path, "mine.toml")
    with pytest.raises(InputError, match=expected):
        task_files.read_array(path, "tasks")


@pytest.mark.parametrize("data", [TOML.encode("utf-8-sig"), TOML.replace("\n", "\r\n").encode()])
def test_a_byte_order_mark_and_other_line_ends_are_read(tmp_path, data):
    (tmp_path / "mine.toml").write_bytes(data)
    assert presets.read(tmp_path / "mine.toml", "mine.toml") == {"family": {"name": "point"}}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (TOML.encode("utf-16"), "is UTF-16; must be UTF-8"),
        (TOML.encode("utf-16-be"), "holds NUL bytes"),
        (TOML.encode("utf-32"), "is UTF-32; must be UTF-8"),
        (b"a = 1\n" + TOML.encode("latin-1"), "is not UTF-8: byte 0xf6 in line 2"),
        (b"\x00\x01", "holds NUL bytes"),
        (b" \n", "is empty"),
        (b"#" * 300, "holds more than 200 bytes"),
        (TOML.replace("\n", "\r").encode(), "not valid TOML"),
    ],
)
def test_text_that_is_no_configuration(tmp_path, monkeypatch, data, expected):
    monkeypatch.setattr(inputs, "MAX_TEXT", 200)
    (tmp_path / "mine.toml").write_bytes(data)
    with pytest.raises(ConfigError, match=expected):
        presets.read(tmp_path / "mine.toml", "mine.toml")


def written(folder, **arrays):
    np.savez(folder / "made.npz", **arrays)
    return (folder / "made.npz").read_bytes()


def repacked(folder, **members):
    """An archive of members with these bytes."""
    with zipfile.ZipFile(folder / "made.npz", "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return (folder / "made.npz").read_bytes()


def npy(folder, array):
    np.save(folder / "made.npy", array)
    return (folder / "made.npy").read_bytes()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda f: b"", "is empty"),
        (lambda f: npy(f, np.zeros(2)), "is an .npy file, of one array without a name"),
        (lambda f: pickle.dumps([1, 2]), "is a pickle"),
        (lambda f: b"x,y\n1,2\n", "is no archive of arrays"),
        (lambda f: written(f, tasks=np.zeros((2, 2)))[:100], "is damaged: File is not a zip file"),
        (lambda f: written(f, tasks=np.array([[1], [1, 2]], object)), "tasks holds Python objects"),
        (lambda f: written(f, a=np.zeros(2)), "holds no array 'tasks', only 'a'"),
        (lambda f: repacked(f), "is damaged|holds no array 'tasks', only nothing"),
        (lambda f: repacked(f, tasks=b"text"), "is damaged: tasks: "),
        (lambda f: repacked(f, tasks=npy(f, np.zeros(9))[:-8]), "is damaged: tasks: "),
        (
            lambda f: repacked(f, tasks=npy(f, np.zeros(9)).replace(b"(9,)", b"(99999999999999,)")),
            "is damaged: tasks: ",
        ),
        (lambda f: written(f, tasks=np.zeros(2, complex)), "tasks has dtype complex128; must be numbers"),
        (lambda f: written(f, tasks=np.zeros(2, [("x", float)])), "must be numbers"),
    ],
)
def test_archives_that_hold_no_numbers(tmp_path, make, expected):
    (tmp_path / "mine.npz").write_bytes(make(tmp_path))
    with pytest.raises(InputError, match=expected) as caught:
        task_files.read_array(tmp_path / "mine.npz", "tasks")
    assert str(caught.value).startswith(f"{tmp_path / 'mine.npz'}: ")
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize("kind", [">f8", "f2", "longdouble", "u8", ">i2", "i1"])
def test_every_type_of_numbers_is_read(tmp_path, kind):
    tasks = np.asfortranarray(np.array([[1, 0], [0, 1], [1, 1]], kind))
    np.savez(tmp_path / "mine.npz", tasks=tasks)
    read = task_files.read_array(tmp_path / "mine.npz", "tasks")
    assert np.asarray(read, np.float32).tolist() == [[1, 0], [0, 1], [1, 1]]


def test_a_result_can_be_named_after_its_tasks(tmp_path):
    assert task_files.split_name("test", tmp_path / "mine.npz") == "tasks-mine"
    with pytest.raises(InputError, match="found a name of 240 bytes; must be of 200 at most"):
        task_files.split_name("test", tmp_path / f"{'я' * 120}.npz")


def test_a_path_that_checkpoints_cannot_have_is_refused(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9")  # of an archive made elsewhere
    path.mkdir()
    for refuses in (
        lambda: checkpoints.load(path, {}, "hash"),
        lambda: open_run(config.resolve("meta-train", "point/smoke"), path / "run", resume=False),
    ):
        with pytest.raises(ConfigError, match=r"'.*caf\\udce9.*': holds bytes that are no letters here"):
            refuses()
    assert not any(path.iterdir())
