"""A command that computes: its progress, jax, and the other processes that it was started with."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from hmrl_cli.cli import cluster
from hmrl_cli.cli.output import prepare, progress_on_stderr
from hmrl_cli.runner import startup
from hmrl_cli.runner.progress import Progress, Silent


class Session(NamedTuple):
    """How a command shows what it does, and with which other processes it does it."""

    progress: contextlib.AbstractContextManager[Progress]
    joining: cluster.Joined | None

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that reads, writes and prints."""
        return self.joining is None or self.joining.member.rank == 0


def begin(
    coordinator: str | None,
    processes: int | None,
    process_id: int | None,
    quiet: bool = False,
    verbose: bool = False,
    resumes: bool = False,
) -> Session:
    """Find the other processes; only process 0 of several shows progress.

    Args:
        coordinator, processes, process_id: see `cluster.find`.
        quiet, verbose: see `progress_on_stderr`.
        resumes: whether the command can be continued after the death of a process.

    Raises:
        ConfigError: an option is missing, or has no valid value.
    """
    member = cluster.find(coordinator, processes, process_id, os.environ)
    joining = cluster.start(member, resumes, debug="--debug" in sys.argv)
    if member is not None and member.rank > 0:
        return Session(contextlib.nullcontext(Silent()), joining)
    return Session(progress_on_stderr(quiet, verbose), joining)


@contextlib.contextmanager
def running(
    session: Session, command: Sequence[object], stop: Callable[[], int | None] = lambda: None
) -> Iterator[Progress]:
    """Start jax and join the other processes; all of them run the body, and end as process 0 does.

    Args:
        session: what `begin` returned.
        command: what must be equal in all processes, such as settings and paths.
        stop: returns the number of a signal that asked to stop, or None.

    Raises:
        ConfigError: jax cannot start, or this process has another command than process 0.
        ProcessLost: another process has died, or never came.
    """
    joining = session.joining
    join = None
    if joining is not None:
        join = functools.partial(joining.connect, [str(part) for part in command], stop)
    with session.progress as shows, cluster.together(joining):
        prepare(shows, join)
        yield shows


@contextlib.contextmanager
def alone(session: Session, command: Sequence[object]) -> Iterator[Progress]:
    """As `running`, but process 0 alone runs the body, and the others wait for its end."""
    with running(session, command) as shows:
        if session.joining is not None and not session.is_first:
            session.joining.finish(0)  # which does not return
        with startup.on_own_devices():
            yield shows
