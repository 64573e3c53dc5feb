"""Files of tasks: read, or refused by name."""

import pickle
import zipfile

import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.errors import InputError
from hmrl_cli.runner import assembly
from hmrl_cli.runner import tasks as task_files
from tests import toys


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


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"goals": np.zeros((2, 2))}, "holds no array 'tasks', only 'goals'"),
        ({"tasks": np.zeros((2, 3))}, r"shape \(2, 3\); must be \(number of tasks, 2\)"),
        ({"tasks": np.zeros((0, 2))}, r"shape \(0, 2\)"),
        ({"tasks": np.array([["a", "b"]])}, "dtype <U1; must be numbers"),
        ({"tasks": np.array([[0.0, 1.0], [np.nan, 0.0]])}, r"row 1 of tasks is \[nan, 0.0\]; must be finite"),
        ({"tasks": np.array([[0, -(2**63)]])}, "row 0 .* must be finite"),
        ({"tasks": np.array([[0.0, 1e300]])}, "row 0 .* must be finite, below 1e\\+06"),
        ({"tasks": np.array([[None, None]])}, "tasks holds Python objects"),
    ],
)
def test_bad_task_files_are_refused_by_name(arrays, complaint, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=complaint) as caught:
        task_files.read_tasks(tmp_path / "bad.npz", toys.walker())
    assert "bad.npz" in str(caught.value) and len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("name", "rows", "complaint"),
    [
        ("pusher", [[4.0] + 15 * [0.0], [4.5] + 15 * [0.0]], "row 1 .* no task of pusher"),
        (
            "half_cheetah_dir",
            [[-1.0], [1.0], [0.5]],
            r"row 2 of tasks is \[0.5\], no task of half_cheetah_dir",
        ),
    ],
)
def test_rows_that_are_no_task_are_refused(name, rows, complaint, tmp_path):
    family = assembly.make_family(config.family_of(name))
    np.savez(tmp_path / "tasks.npz", tasks=rows[:-1])
    assert task_files.read_tasks(tmp_path / "tasks.npz", family).shape == (len(rows) - 1, family.task_size)
    np.savez(tmp_path / "tasks.npz", tasks=rows)
    with pytest.raises(InputError, match=complaint):
        task_files.read_tasks(tmp_path / "tasks.npz", family)


def test_files_that_are_no_archive_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "good.npz", tasks=np.random.default_rng(0).normal(size=(50, 2)))
    whole = (tmp_path / "good.npz").read_bytes()
    np.save(tmp_path / "plain.npy", np.zeros((2, 2)))
    contents = [b"PK\x03\x04 not really", b"", (tmp_path / "plain.npy").read_bytes()]
    contents += [whole[:size] for size in range(0, len(whole), 97)]
    contents += [whole[:place] + b"\xff\xff" + whole[place + 2 :] for place in range(60, 260, 20)]
    for content in contents:
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"bad.npz: "):
            task_files.read_tasks(tmp_path / "bad.npz", toys.walker())


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", tasks=np.zeros((1000, 2)))
    monkeypatch.setattr(task_files, "MAX_BYTES", 16_000)
    with pytest.raises(InputError, match=r"bomb.npz: unpacks to more than 16,000 bytes"):
        task_files.read_tasks(tmp_path / "bomb.npz", toys.walker())
