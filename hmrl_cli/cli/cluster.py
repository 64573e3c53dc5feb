"""Joining the processes of one command, on jax's distributed runtime.

Process 0 starts the coordination service.  Each process tells it how its command has ended.  A process that
dies is noticed by its closed connections, or at the latest after `HEARTBEAT` seconds without a sign of life.
Then the others end too, with exit code 75, and the last checkpoint stands.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hmrl_cli.errors import ConfigError, HmrlError, ProcessLost, one_line, shown
from hmrl_cli.lazy import jax
from hmrl_cli.runner.signals import unless_stopped

PATIENCE = 300  # seconds to wait for the other processes at the start
HEARTBEAT = 60  # seconds without a sign of life after which a process counts as dead
FAREWELL = 10.0  # seconds that process 0 waits for the others at the end
FIRST_PORT, PORTS = 20_000, 40_000  # of the coordination service
_LOST = re.compile("Gloo|[Cc]oordination|NCCL")  # in the error of a collective
_ENDED = "hmrl/ended"
_COMMAND = "hmrl/command"
_AGREES = "hmrl/agrees"
_LEFT = "hmrl/left"


class Member(NamedTuple):
    """The place of this process among those of a command."""

    processes: int
    rank: int
    coordinator: str | None  # HOST:PORT of process 0; None: jax knows the launcher
    launcher: str


def find(
    coordinator: str | None, processes: int | None, process_id: int | None, environ: Mapping[str, str]
) -> Member | None:
    """The place of this process: by three options, or by what Slurm or Open MPI say.  None: it is alone.

    Args:
        coordinator: HOST:PORT of process 0.
        processes: their number; 1 makes this process a run of its own, whatever launched it.
        process_id: index of this process.
        environ: environment variables.

    Raises:
        ConfigError: one of the options is missing, or has no valid value.
    """
    given = {"--coordinator": coordinator, "--processes": processes, "--process-id": process_id}
    missing = [name for name, value in given.items() if value is None]
    if processes == 1:
        return None
    if not missing:
        assert coordinator is not None and processes is not None and process_id is not None
        port = re.fullmatch(r".+:(\d{1,5})", coordinator)
        if port is None or not 0 < int(port[1]) < 2**16:
            raise ConfigError(f"--coordinator: found {shown(coordinator)}; must be HOST:PORT of process 0")
        if not 0 <= process_id < processes:
            raise ConfigError(f"--process-id: found {process_id}; must be from 0 to {processes - 1}")
        return Member(processes, process_id, coordinator, "--processes")
    if len(missing) < len(given):
        raise ConfigError(
            f"{' and '.join(missing)}: not found; must be given, as {', '.join(given)} go together"
        )
    for launcher, count, index in (
        ("Slurm", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
        ("Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ):
        if not environ.get(index):
            continue
        for name in (count, index):
            if not environ.get(name, "1").isdecimal():
                raise ConfigError(
                    f"{name}: found {shown(environ[name])} in the environment; must be a number"
                )
        if int(environ.get(count) or 1) > 1:
            return Member(int(environ[count]), int(environ[index]), None, launcher)
    return None


class Joined:
    """This process as one of several that run one command."""

    def __init__(self, member: Member, resumes: bool, debug: bool) -> None:
        """Take stdout and stderr away from the libraries, whose lines would be one for each process."""
        self.member, self.resumes = member, resumes
        self._connected = self._over = False
        self._code: int | None = None  # with which another process has ended the command
        self._stderr = os.dup(2)
        if not debug:
            _divert("stdout", 1)
            _divert("stderr", 2)

    def connect(self, command: Sequence[str], stop: Callable[[], int | None]) -> None:
        """Wait for the other processes, and check that all run the same command.

        Args:
            command: texts that must be equal everywhere, such as settings and the run directory.
            stop: returns the number of a signal that asked to stop, or None.

        Raises:
            ConfigError: this process has another command than process 0.
            ProcessLost: not all processes came.
        """
        member = self.member
        _exit_on_abort(self._lost)
        jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM
        try:
            unless_stopped(lambda: _initialize(member), stop, 0)
        except (RuntimeError, ValueError) as error:
            raise ProcessLost(
                f"{member.launcher}: not all of {member.processes} processes came within {PATIENCE} s: "
                f"{one_line(error)[:200]}\nto run in one process: --processes 1"
            ) from None
        self._connected = True
        threading.Thread(target=self._watch, daemon=True).start()
        mine = hashlib.sha256("\0".join(command).encode()).hexdigest()
        if member.rank == 0:
            self._client.key_value_set(_COMMAND, mine)
            for rank in range(1, member.processes):  # before it writes anything
                self._client.blocking_key_value_get(f"{_AGREES}/{rank}", 1000 * PATIENCE)
        elif self._client.blocking_key_value_get(_COMMAND, 1000 * PATIENCE) == mine:
            self._client.key_value_set(f"{_AGREES}/{member.rank}", "")
        else:
            raise ConfigError(
                f"process {member.rank} of {member.processes}: found other settings or another run directory "
                f"than process 0 has; must be the same, as {member.launcher} makes them one run\n"
                "for runs of their own: --processes 1"
            )

    @property
    def _client(self) -> Any:
        from jax._src import distributed  # jax offers the client of its service in no other place

        return distributed.global_state.client

    def finish(self, code: int) -> None:
        """Tell the others how the command has ended.  Only process 0 returns before the others have left.

        The end of process 0 counts.  So another process waits for that, and at an error only so long.
        """
        if not self._connected:
            return
        while self.member.rank > 0 and code == 0:
            time.sleep(FAREWELL)  # until `_watch` ends it
        if self.member.rank > 0:
            time.sleep(FAREWELL)
        self._over = True
        with contextlib.suppress(Exception):  # the first end counts
            self._client.key_value_set(_ENDED, f"{code} {self.member.rank}")
        until = time.monotonic() + FAREWELL
        for index in range(1, self.member.processes if self.member.rank == 0 else 0):
            with contextlib.suppress(Exception):
                patience = max(until - time.monotonic(), 0.001)
                self._client.blocking_key_value_get(f"{_LEFT}/{index}", int(1000 * patience))

    def _watch(self) -> None:
        """End this process when another one has ended the command."""
        found = None
        while found is None:
            try:
                found = self._client.blocking_key_value_get(_ENDED, 1000 * PATIENCE)
            except Exception as error:
                if "DEADLINE_EXCEEDED" not in str(error):  # the service is gone
                    self._lost()
        code, index = map(int, found.split())
        if index == self.member.rank:
            return
        self._code = code  # process 0 may be gone before this one has left
        if index > 0:
            self._say(f"process {index} has ended with exit code {code}; so all do")
        with contextlib.suppress(Exception):
            self._client.key_value_set(f"{_LEFT}/{self.member.rank}", "")
        os._exit(code)

    def _lost(self) -> None:
        """End this process because another one has died."""
        while self._over:  # no news: this process is about to end
            time.sleep(FAREWELL)
        if self._code is not None:
            os._exit(self._code)
        self._say(str(_lost_one(self.member, self.resumes)).replace("\n", "\nerror: "))
        os._exit(ProcessLost.exit_code)

    def _say(self, text: str) -> None:
        """Print an error on processes 0 and 1 only; one is not enough, because process 0 may have died."""
        if self.member.rank < 2:
            with contextlib.suppress(OSError):
                os.write(self._stderr, f"error: {text}\n".encode())


def _lost_one(member: Member, resumes: bool) -> ProcessLost:
    died = f"process {member.rank} of {member.processes}: another one has died"
    if not resumes:
        return ProcessLost(f"{died}\nto do it anew: the same command")
    return ProcessLost(f"{died}; the last checkpoint is kept\nto continue: the same command with --resume")


def _initialize(member: Member) -> None:
    jax.distributed.initialize(
        member.coordinator,
        member.processes,
        member.rank,
        initialization_timeout=PATIENCE,
        heartbeat_timeout_seconds=HEARTBEAT,
        cluster_detection_method=None if member.coordinator is None else "deactivate",
    )
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("hmrl")  # connects them


def _divert(name: str, descriptor: int) -> None:
    """Keep a stream of Python, and let what libraries write to its descriptor go nowhere."""
    stream = getattr(sys, name)
    stream.flush()
    kept = os.dup(descriptor)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
    setattr(sys, name, open(kept, "w", encoding=stream.encoding, errors=stream.errors, buffering=1))  # noqa: SIM115


def _exit_on_abort(exit_: Callable[[], None]) -> None:
    """Call `exit_` where jax would abort the process, in its own thread, because another one has died."""
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: exit_())
    _handlers.append(handler)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, type(handler)], ctypes.c_void_p
    libc.signal(int(signal.SIGABRT), handler)


_handlers: list[Any] = []  # a handler must outlive its call


def start(member: Member | None, resumes: bool = False, debug: bool = False) -> Joined | None:
    """Begin to be one of several processes; before anything is shown or jax is imported.

    Args:
        member: the place of this process; None: it is alone.
        resumes: whether the command can be continued after the death of a process.
        debug: show what libraries print.
    """
    if member is None:
        return None
    if member.launcher == "Slurm":  # a port for each step: several may run side by side in a job
        step = f"{os.environ.get('SLURM_JOB_ID')}.{os.environ.get('SLURM_STEP_ID')}"
        os.environ.setdefault("JAX_COORDINATOR_PORT", str(FIRST_PORT + zlib.crc32(step.encode()) % PORTS))
    return Joined(member, resumes, debug)


@contextlib.contextmanager
def together(joining: Joined | None) -> Iterator[None]:
    """The body of a command, in this process and those that join it: all end as process 0 does.

    Args:
        joining: what `start` returned.

    Raises:
        ProcessLost: another process has died.
    """
    if joining is None:
        yield
        return
    code = 0
    try:
        yield
    except BaseException as error:
        lost = _LOST.search(str(error)) and not isinstance(error, HmrlError)
        code = ProcessLost.exit_code if lost else getattr(error, "exit_code", 1)
        if isinstance(error, KeyboardInterrupt):
            code = 130
        if lost:
            raise _lost_one(joining.member, joining.resumes) from error
        raise
    finally:
        joining.finish(code)


def has_joined() -> bool:
    """Whether this process has joined others; then it ends without the farewell of jax, which `finish` is."""
    return bool(_handlers)
