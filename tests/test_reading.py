"""Files of a run that a newer version, or anybody, has written: read, or refused by name."""

import json
import os
import socket

import pytest

from hmrl_cli import config, reading
from hmrl_cli.cli import main as cli
from hmrl_cli.errors import HmrlError, InputError
from hmrl_cli.lazy import np
from hmrl_cli.storage import checkpoints, exports, manifest, provenance, reader
from hmrl_cli.storage.metrics import epoch_of, read_metrics
from hmrl_cli.storage.writer import RunDir

NOT_THERE = object()
RAW = "@raw@"
HOSTILE = {
    "deleted": NOT_THERE,
    "null": "null",
    "text": '"x"',
    "negative": "-1",
    "list": "[]",
    "table": "{}",
    "infinite": "1e999",
    "nan": "NaN",
    "deep": "[" * 2000 + "]" * 2000,
    "deep enough to be parsed": '{"a":' * 300 + "1" + "}" * 300,
    "large": "1" * 5000,
    "large enough to be parsed": "1" * 4000,
    "true": "true",
    "a control character": '"\\u001b[31m\\ud800"',
}


def mutants(document, kinds=HOSTILE):
    """Texts of the document with one key, at any depth, deleted or of another value; and with one more."""
    for kind in kinds:
        for keys in [*places(document), ("unknown",)]:
            changed = json.loads(json.dumps(document))
            table = changed
            for key in keys[:-1]:
                table = table[key]
            if HOSTILE[kind] is NOT_THERE:
                table.pop(keys[-1], None)
            else:
                table[keys[-1]] = RAW
            yield kind, keys, json.dumps(changed).replace(json.dumps(RAW), str(HOSTILE[kind]))


def places(table, above=()):
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


def refused(act):
    """The error's text, of one that names what is wrong; "" where there is none."""
    try:
        act()
    except HmrlError as error:
        assert error.exit_code in (2, 65) and 1 <= len(str(error).splitlines()) <= 2, error
        return str(error)
    return ""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run over skills, and what it resumes with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(
        '[family]\nname = "point"\n[training]\nepochs = 1\n[pretrain-skills.algorithm]\nname = "diayn"\n'
        '[meta-train.algorithm]\nname = "maml"\n'
    )
    with RunDir.create(tmp_path / "skills", config.resolve("pretrain-skills", "tiny.toml")) as skills:
        skills.save(1, {"w": np.float32([1])})
        skills.epoch = 1
        skills.complete({})
    resolved = config.resolve("meta-train", "tiny.toml", flags={"hierarchy.skills": "skills"})
    with RunDir.create(tmp_path / "r", resolved) as run:
        run.record(1, {"loss": 1.0})
        run.save(1, {"w": np.float32([1])})
        run.complete({"metrics": {"loss": 1.0}})
    found = provenance.collect(resolved, [])
    monkeypatch.setattr(provenance, "collect", lambda *arguments: found)
    return tmp_path / "r", resolved


@pytest.mark.parametrize("name", ["status.json", "provenance.json"])
def test_every_key_may_be_anything(run, capsys, name):
    path, resolved = run
    read = {"status.json": reader.read_status, "provenance.json": reader.read_provenance}[name]
    for kind, keys, text in mutants(json.loads((path / name).read_text())):
        (path / name).write_text(text)
        problem = refused(lambda: read(path))
        assert not problem or name in problem, (kind, keys)
        if kind in ("infinite", "nan", "deep", "deep enough to be parsed", "large"):
            assert problem, (kind, keys)
        if keys == ("unknown",) and kind in ("null", "text", "negative", "list", "table", "true"):
            assert not problem, (kind, keys)  # what a newer version may write
        if len(keys) == 1 and kind in ("deleted", "text", "table", "deep enough to be parsed"):  # other doors
            refused(lambda: RunDir.resume(path, resolved).close())
            assert cli.run(["show", str(path), "--json"]) in (0, 65), (kind, keys)
    assert "Traceback" not in capsys.readouterr().err


def test_every_key_of_a_manifest_may_be_anything(tmp_path):
    checkpoints.save(tmp_path, 1, {"w": np.float32([1]), "n": np.int32(1)}, "hash")
    file = tmp_path / "1" / "manifest.json"
    whole = json.loads(file.read_text())
    for _, _, text in mutants(whole["manifest"]):
        file.write_text(f'{{"sha256": "{sealed(text)}", "manifest": {text}}}')
        refused(lambda: checkpoints.fingerprint(tmp_path))
        refused(lambda: checkpoints.load(tmp_path, {"w": np.float32([0]), "n": np.int32(0)}, "hash"))
    for _, _, text in mutants(whole, ("null", "list", "deep", "infinite", "deleted")):
        file.write_text(text)
        refused(lambda: checkpoints.fingerprint(tmp_path))


def sealed(text):
    """The hash by which a manifest vouches for itself, where it can be read at all."""
    try:
        return manifest.sha256(json.dumps(json.loads(text), sort_keys=True).encode())
    except (ValueError, RecursionError):
        return ""


def test_every_key_of_a_card_may_be_anything(run, tmp_path):
    experiment = reader.read(tmp_path / "skills").experiment
    _, card = exports.encode({"w": np.float32([1])}, "skills", experiment, None, 1)
    file = tmp_path / "s.json"
    needed = {("kind",), ("epoch",), ("sha256",), ("config",), ("skills_config",)}
    for kind, keys, text in mutants(card):
        file.write_text(text)
        problem = refused(lambda: exports.read_card(tmp_path / "s.safetensors", "skills"))
        assert not problem or "s.json" in problem or "s.safetensors" in problem
        if keys in needed and kind in ("deleted", "list", "nan", "true"):
            assert problem, (kind, keys)
        if keys == ("unknown",) and kind in ("null", "text", "list"):
            assert not problem


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"1",
        b'{"epoch": 1e999}',
        b'{"epoch": "1"}',
        b'{"epoch": true}',
        b'{"epoch": 1, "loss": NaN}',
        b'{"epoch": 1, "loss": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b"\xff\xfe",
        b"",
    ],
)
def test_lines_of_metrics_that_are_none_are_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"epoch": 1}\n' + line + b"\n" + b'{"epoch": 3}\n{"epo')
    with pytest.raises(InputError, match=r"metrics.jsonl: line 2"):
        read_metrics(tmp_path)
    assert epoch_of(line + b"\n") is None


def test_a_newer_schema_is_told(run):
    path, _ = run
    for name in ("status.json", "provenance.json"):
        document = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps(document | {"schema": 2}))
        with pytest.raises(InputError, match=f"{name}: found schema 2; must be 1"):
            reader.read(path)
        (path / name).write_text(json.dumps(document))


def no_pipe(file):
    os.mkfifo(file)


def no_folder(file):
    file.mkdir()


def no_target(file):
    file.symlink_to(file.with_name("nowhere"))


def no_socket(file):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(file))


@pytest.mark.parametrize("put", [no_pipe, no_folder, no_target, no_socket])
def test_what_is_no_file_is_refused_and_not_waited_for(run, put, monkeypatch):
    path, resolved = run
    monkeypatch.chdir(path)  # names of sockets are short
    names = ("status.json", "provenance.json", "skills.toml", "metrics.jsonl", "config.toml", "events.log")
    for name in names:
        whole = (path / name).read_bytes()
        (path / name).unlink()
        put(path.__class__(name))
        if name not in ("metrics.jsonl", "events.log"):
            assert name in refused(lambda: reader.read_skills(path)), name
        with pytest.raises(HmrlError) as caught:
            RunDir.resume(path, resolved)
        assert caught.value.exit_code in (65, 73), name
        if name == "metrics.jsonl":
            assert name in refused(lambda: read_metrics(path))
        (path / name).rmdir() if put is no_folder else (path / name).unlink()
        (path / name).write_bytes(whole)
    manifest = path / "checkpoints" / "1" / "manifest.json"
    manifest.unlink()
    put(manifest.relative_to(path))
    assert "damaged" in refused(lambda: checkpoints.fingerprint(path / "checkpoints"))
    (path / "lock").unlink()
    put(path.__class__("lock"))
    reader.read(path)
    with pytest.raises(HmrlError) as caught:
        RunDir.resume(path, resolved)
    assert caught.value.exit_code in (65, 73, 74)


def test_how_deep_something_is():
    def nested(depth):
        value = {}
        for number in range(depth - 1):
            value = {"a": value, "b": 1} if number % 2 else {"c": [value]}
        return value

    assert not reading.is_deep(nested(3)) and reading.is_deep(nested(10_000))
    assert not reading.is_deep({"a": 1, "b": "text"}) and not reading.is_deep({})


@pytest.mark.parametrize(
    "key", [".".join(["algorithm"] + ["a"] * 2000), ".".join(["a"] * 300), "algorithm." + "a." * 70 + "a"]
)
def test_keys_of_many_dots_are_refused(tmp_path, key):
    (tmp_path / "deep.toml").write_text(f"{key} = 1\n")
    for act in (
        lambda: config.resolve("meta-train", "point/smoke", [f"{key}=1"]),
        lambda: config.resolve("meta-train", "point/smoke", [f"{key}=word"]),
        lambda: config.resolve("meta-train", str(tmp_path / "deep.toml")),
        lambda: config.load(tmp_path / "deep.toml"),
        lambda: config.file_hash(tmp_path / "deep.toml"),
    ):
        assert "nested too deeply" in refused(act)


def test_a_preset_stands_on_so_many_others(tmp_path):
    for number in range(300):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"\n')
    problem = refused(lambda: config.resolve("meta-train", str(tmp_path / "0.toml")))
    assert "stands on more than 64 presets" in problem


@pytest.mark.parametrize(
    "setting",
    [
        "algorithm.mean_step_size=1e39",
        "algorithm.mean_step_size=1e-46",
        "algorithm.mean_step_size=1e-39",
        f"algorithm.mean_step_size={10**39}",
        "family.sparse_radius=1e-300",
    ],
)
def test_numbers_that_single_precision_does_not_have_are_refused(setting):
    skills = "hierarchy.skills='x'"
    problem = refused(lambda: config.resolve("meta-train", "point/smoke", [skills, setting]))
    assert "must be 0 or from 1.2e-38 to 3.4e+38 in size" in problem and setting.split("=")[0] in problem
    largest = ["algorithm.mean_step_size=3e38", "family.sparse_radius=1.2e-38"]
    config.resolve("meta-train", "point/smoke", [skills, *largest])
