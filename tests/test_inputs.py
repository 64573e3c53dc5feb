"""What can be wrong with a file that a user names."""

import os
import socket

import pytest

from hmrl_cli import inputs
from hmrl_cli.config import presets
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.runner import tasks as task_files


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
