"""The directory of a run, from its name or its preset."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hmrl_cli import config
from hmrl_cli.errors import (
    ConfigError,
    RunDirError,
    shown,
    typed,
)
from hmrl_cli.experiment import Experiment
from hmrl_cli.storage import checkpoints, layout, provenance, reader, upstream
from hmrl_cli.storage.folder import ignore_note
from hmrl_cli.storage.places import RUNS, Taken, check_existing, check_new
from hmrl_cli.storage.resuming import same_run
from hmrl_cli.storage.writer import RunDir

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def open_run(
    resolved: config.Resolved,
    path: Path | None,
    resume: bool,
    argv: Sequence[str] = (),
    note: Callable[[str], None] = ignore_note,
    sources: upstream.Sources | None = None,
    written: config.Written | None = None,
) -> RunDir:
    """Create or resume the run directory of a command.

    Args:
        resolved: what to run.
        path: the directory; None chooses `runs/PRESET-seedN`, with -2, -3, ... where that exists.
        resume: continue the run if it exists; without a path, the newest run of that name with an equal
            configuration.
        argv: the command line, for provenance.json.
        note: is called with what the user should know.
        sources: what `upstream.open_sources` returned for this experiment; None opens them.
        written: the content of the config.toml at `path`; None reads it.

    Raises:
        ConfigError, InputError, RunDirError, StorageError: see `RunDir`.
    """
    checkpoints.check_path(path or RUNS)
    if path is not None:
        if resume and os.path.lexists(path):
            return RunDir.resume(path, resolved, argv, note, sources, written)
        return RunDir.create(path, resolved, argv, note, sources)
    name = auto_name(resolved)
    if resume:
        earlier = _newest_equal(name, resolved.experiment)
        if earlier is not None:
            return RunDir.resume(earlier[0], resolved, argv, note, sources, earlier[1])
    places = _numbered(name)
    while True:
        with contextlib.suppress(Taken):  # by an earlier run, or by another process at this moment
            return RunDir.create(next(places), resolved, argv, note, sources)


def _numbered(name: str) -> Iterator[Path]:
    """The directories that a run of a name can have, without end: NAME, NAME-2, NAME-3, ..."""
    yield RUNS / name
    yield from (RUNS / f"{name}-{number}" for number in itertools.count(2))


def check_run(resolved: config.Resolved, path: Path | None, resume: bool, sources: upstream.Sources) -> None:
    """Refuse what `open_run` would refuse, and write nothing.

    Args:
        resolved, path, resume, sources: see `open_run`.

    Raises:
        ConfigError, InputError, RunDirError, StorageError: see `RunDir`.
    """
    checkpoints.check_path(path or RUNS)
    name = auto_name(resolved)
    if path is None and resume and (earlier := _newest_equal(name, resolved.experiment)):
        path = earlier[0]
    if path is None:
        path = next(free for free in _numbered(name) if not os.path.lexists(free))
    if not resume or not os.path.lexists(path):
        check_place(path)
        return
    check_existing(path)
    if layout.is_run(path):
        _check_same(resolved, path, sources)
        reader.read_status(path)  # refuses a damaged one
    if not os.access(path, os.W_OK):
        raise RunDirError(f"{path / 'lock'}: cannot be created: {path} cannot be written to")


def _check_same(resolved: config.Resolved, path: Path, sources: upstream.Sources) -> None:
    """Refuse to resume the run at a path by other settings, skills, parents or plugins."""
    same_run(path, resolved.experiment)
    now = {name: provenance.record_of(source) for name, source in sources._asdict().items()}
    provenance.check_sources(reader.read_provenance(path), now)


def check_place(path: Path) -> None:
    """Refuse a path at which no new run can be created.

    Raises:
        RunDirError: the path exists, lies in another run, or has a folder that cannot be written to.
    """
    check_new(path)
    there = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = "cannot be written to" if there.is_dir() else "is no folder"
        raise RunDirError(f"{path}: cannot be created: {there} {why}")


def named(name: str) -> Path:
    """The directory of `--name`.

    Raises:
        ConfigError: the name has more than 100 characters, or other ones than letters, digits and '._-'.
    """
    if not NAME.fullmatch(name):
        place = RUNS / name.removeprefix(f"{RUNS}/")
        folder = f"\nfor a folder: --run-dir {typed(place)}" if "/" in name else ""
        raise ConfigError(
            f"--name: found {shown(name)}; must be 1 to 100 letters, digits, '.', '_' or '-', "
            f"the first a letter or digit{folder}"
        )
    return RUNS / name


def auto_name(resolved: config.Resolved) -> str:
    """The name of a run without `--name`: "ant_goal-hmrl-seed0" for the preset ant_goal/hmrl and seed 0.

    A preset that is the config.toml of a run gives the name of that run, with the new seed.
    """
    base = resolved.preset
    if base.endswith(".toml"):
        path = Path(base).absolute()
        base = re.sub(r"-seed\d+(-\d+)?$", "", path.parent.name) if path.name == layout.CONFIG else path.stem
    base = re.sub(r"[^A-Za-z0-9._-]", "-", base.replace("/", "-")).lstrip("._-")[:80] or "run"
    return f"{base}-seed{resolved.experiment.training.seed}"


def _newest_equal(name: str, experiment: Experiment) -> tuple[Path, config.Written] | None:
    """The newest run of a name and an equal configuration, with the content of its config.toml."""
    pattern = re.compile(re.escape(name) + r"(-\d+)?")
    there = (file for file in RUNS.glob(f"{name}*/config.toml") if file.is_file())
    found = [file for file in there if pattern.fullmatch(file.parent.name)]
    for file in sorted(found, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        with contextlib.suppress(ConfigError):  # of another version of hmrl: not equal
            written = config.read(file)
            if config.difference(experiment, written.experiment) is None:
                return file.parent, written
    return None
