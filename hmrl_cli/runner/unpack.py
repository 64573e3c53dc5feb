"""Pretrained files as run directories, so that every command on runs accepts them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hmrl_cli import config
from hmrl_cli.compute import processes
from hmrl_cli.errors import InputError, RunDirError
from hmrl_cli.runner import export
from hmrl_cli.runner.assembly import assemble
from hmrl_cli.storage import (
    checkpoints,
    exports,
    files,
    layout,
    naming,
    pretrained,
    provenance,
    reader,
    upstream,
)


def opened(source: str | Path) -> reader.Info:
    """The run in a directory, or the run of a pretrained name, which process 0 unpacks at the first call.

    Raises:
        ConfigError: nothing pretrained has this name.
        InputError: the directory is no run, or the files of what is pretrained are damaged.
        RunDirError: the directory of what is pretrained holds something else, or cannot be created.
        StorageError: the disk is full or broken.
    """
    if not pretrained.is_name(source):
        return reader.read(Path(source))
    file = pretrained.path_of(source, "RUN_DIR")
    card = exports.read_card(file)
    record = provenance.record_of(
        upstream.Source(str(source), card, card.epoch, card.sha256, card.card_sha256)
    )
    assert record is not None
    path = naming.named(pretrained.run_name(source))
    if processes.is_first() and not os.path.lexists(path):
        _unpack(file, card, record, path)
    processes.agreed(0)  # the others wait for process 0
    try:
        run = reader.read(path)
    except InputError:
        run = None
    if run is None or not _is_of(run, record):
        raise RunDirError(f"{path}: exists, and is not what {source} holds; must be moved elsewhere")
    return run


def _is_of(run: reader.Info, record: dict[str, object]) -> bool:
    """Whether a run was unpacked from these arrays, and nobody trained it on."""
    kept = run.provenance.get("pretrained") or {}
    same = all(kept.get(key) == record[key] for key in ("epoch", "arrays_sha256", "config_hash"))
    return same and run.last_epoch == record["epoch"]


def _unpack(file: Path, card: exports.Card, record: dict[str, object], path: Path) -> None:
    """Write a run directory of one checkpoint; it appears as a whole."""
    experiment, source = card.experiment, str(record["run"])
    origins = dict.fromkeys(config.flat(experiment), source)
    resolved = config.Resolved(experiment, origins, source, experiment.algorithm.command)
    tree = export.read_whole(file, card, assemble(experiment, card.skills_from))
    described = provenance.collect(resolved, (), upstream.open_sources(experiment))
    ends = {"state": "complete", "epoch": card.epoch, "epochs": experiment.training.epochs, "summary": {}}
    status = {"schema": layout.SCHEMA, **ends, "updated": provenance.now()}
    with files.creating(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".pretrained-") as folder:
            made = Path(folder) / path.name
            made.mkdir()
            checkpoints.save(made / layout.CHECKPOINTS, card.epoch, tree, config.config_hash(experiment))
            files.write_json(made / layout.PROVENANCE, {**described, "pretrained": record})
            if card.skills_from is not None:
                files.write_text(made / layout.SKILLS, config.to_toml(card.skills_from))
            files.write_json(made / layout.STATUS, status)
            files.write_text(made / layout.CONFIG, config.to_toml(experiment))
            if not os.path.lexists(path):  # another process may have unpacked it meanwhile
                made.rename(path)
