"""The check that a command line agrees with the run that it resumes."""

from __future__ import annotations

from pathlib import Path

from hmrl_cli import config
from hmrl_cli.errors import ConfigError
from hmrl_cli.experiment import Experiment
from hmrl_cli.storage import layout, provenance, reader


def same_run(path: Path, experiment: Experiment, written: config.Written | None = None) -> config.Written:
    """The config.toml of a run that is resumed by the same settings and plugins.

    Args:
        path: the run directory.
        experiment: the settings by which it is resumed.
        written: the content of the file; None reads it.

    Raises:
        ConfigError: the run has another configuration.
        InputError: a file cannot be used, or a plugin's file has changed.
    """
    provenance.check_plugins(reader.read_provenance(path), experiment)
    written = written or reader.read_config(path / layout.CONFIG)
    if different := config.difference(experiment, written.experiment):
        raise ConfigError(f"{different}\nto resume: the same settings; to start another run: --name NAME")
    return written
