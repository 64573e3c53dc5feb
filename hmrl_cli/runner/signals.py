"""Signals that ask a run to stop, also during work that cannot be interrupted."""

from __future__ import annotations

import _thread
import concurrent.futures
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

from hmrl_cli.errors import Interrupted

Result = TypeVar("Result")

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)
LOOK_EVERY = 0.1  # seconds
_THREAD = "unless stopped"
_COLLECTING = "_xla_gc_callback"  # a function of jax that runs while Python frees memory


def interrupt_surely() -> None:
    """Let Ctrl-C end the process even while jax frees memory, when Python would ignore it.

    A SIGINT that is ignored, as after nohup, stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Delay Ctrl-C to the end of the block: while a C++ library loads, it would abort the process."""
    before, received = signal.getsignal(signal.SIGINT), []
    answers = before in (signal.default_int_handler, _interrupt)
    if not answers or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: received.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if received:
            raise KeyboardInterrupt


def _interrupt_soon(thread: int) -> None:
    time.sleep(LOOK_EVERY)
    signal.pthread_kill(thread, signal.SIGINT)  # a real signal, which ends a wait, too


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_name == _COLLECTING:
            _thread.start_new_thread(_interrupt_soon, (threading.get_ident(),))
            return
        frame = frame.f_back
    raise KeyboardInterrupt


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], int | None]]:
    """Catch SIGTERM, SIGUSR1, SIGUSR2 and SIGINT.

    Yields a function that returns the number of the first signal received, or None.

    Raises:
        KeyboardInterrupt: at a SIGINT after any of these signals, without waiting for the end of the epoch.
    """
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def unless_stopped(work: Callable[[], Result], stop: Callable[[], int | None], epoch: int) -> Result:
    """Run `work` in a thread and return its result, unless a signal asks to stop first.

    A compilation runs in such a thread, because nothing can interrupt it.

    Args:
        work: the function to run.
        stop: returns the number of a signal that asked to stop, or None.  It is called every 0.1 s.
        epoch: the epoch of the last checkpoint, for the message; 0 where there is none.

    Raises:
        Interrupted: `stop` returned a signal.  The thread runs on.
    """
    result: concurrent.futures.Future[Result] = concurrent.futures.Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, name=_THREAD, daemon=True).start()
    while not result.done():
        if number := stop():
            raise Interrupted(epoch, number)
        concurrent.futures.wait([result], timeout=LOOK_EVERY)
    return result.result()


def goes_on() -> bool:
    """Whether a thread of `unless_stopped` still runs.  It must not outlive the libraries that it uses."""
    return any(thread.name == _THREAD for thread in threading.enumerate())
