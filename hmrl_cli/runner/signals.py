"""Signals that ask a run to stop, and work that cannot look out for them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

from hmrl_cli.errors import Interrupted

Result = TypeVar("Result")

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)
LOOK_EVERY = 0.1  # seconds
_THREAD = "unless stopped"


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], int | None]]:
    """Catch the signals that ask to stop; yields what tells the first one that came.

    Raises:
        KeyboardInterrupt: Ctrl-C came twice, which does not wait for the end of the epoch.
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
    """What `work` returns, for a compilation, which nothing can interrupt.

    Args:
        work: to be done.
        stop: the number of a signal that asked to stop, or None.
        epoch: of the last checkpoint; 0: none.

    Raises:
        Interrupted: `stop` asked for it; the work goes on.
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
    """Whether work that was given up on is not done yet; it must not outlive the libraries that it uses."""
    return any(thread.name == _THREAD for thread in threading.enumerate())
