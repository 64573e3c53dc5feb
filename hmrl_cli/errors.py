"""Errors that a user can cause or repair, each with its exit code.

A message has one or two lines.  It names the field or file, what was found and what would be right.  Where it
helps, the message also names the command to run next.
"""

from __future__ import annotations

import contextlib
import difflib
import shlex
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path


class HmrlError(Exception):
    """An error that the user can repair; every other exception is a bug."""

    exit_code = 1


class ConfigError(HmrlError):
    """The command line, a preset or `--set` names something unknown, or combines what does not fit."""

    exit_code = 2


class InputError(HmrlError):
    """A file cannot be used: a corrupt or foreign checkpoint, wrong skills, a bad task file."""

    exit_code = 65


class MissingDependency(HmrlError):
    """An optional library or program is not installed, or no cluster answers."""

    exit_code = 69


class RunDirError(HmrlError):
    """A run directory cannot be created, is taken, or is in use."""

    exit_code = 73


class StorageError(HmrlError):
    """Reading or writing failed: the disk is full, or broken."""

    exit_code = 74


class MachineLimit(HmrlError):
    """The machine has too little memory for what was asked, or starts no more threads."""

    exit_code = 74


class Interrupted(HmrlError):
    """A signal ended the run, after a checkpoint of what had been trained."""

    exit_code = 75

    def __init__(self, epoch: int, signal_number: int, run: Path | None = None) -> None:
        """Build the message.

        Args:
            epoch: of the checkpoint; 0 before the first epoch.
            signal_number: of the signal; SIGINT (Ctrl-C) changes the exit code to 130.
            run: the run directory, which the message names; None: not known yet.
        """
        self.epoch, self.signal_number = epoch, signal_number
        name = signal.Signals(signal_number).name
        remedy = f"hmrl resume {typed(run)}" if run else "the same command with --resume, or hmrl resume RUN"
        kept = f"; the checkpoint of epoch {epoch} is safe" if epoch else " before the first epoch"
        super().__init__(f"interrupted by {name}{kept}\nto continue: {remedy}")
        if signal_number == signal.SIGINT:
            self.exit_code = 130


class ProcessLost(HmrlError):
    """Another process of the run has died, or never came; the run can be resumed."""

    exit_code = 75


class NotDone(HmrlError):
    """Some cells of a suite could not be run to their ends; the exit code is that of the first one."""


class Diverged(HmrlError):
    """A parameter, a metric or a result is not finite."""

    exit_code = 76

    def __init__(self, what: str, epoch: int | None = None) -> None:
        """Build the message.

        Args:
            what: the name of the value that is not finite, such as "params/policy/kernel".
            epoch: of training; None after training.
        """
        if epoch is None:
            consequence = ", and was not written\nto try again: other settings, or another --seed"
        else:
            consequence = (
                f" in epoch {epoch}; the last finite checkpoint is kept\n"
                "to try again: a smaller learning rate or another --seed"
            )
        super().__init__(f"diverged: {what} is not finite{consequence}")


def limit_reached(error: BaseException) -> str:
    """The resource that ran out, if that caused the error; "" for any other error.

    The resource is memory or threads.  A full disk is an `OSError` or a `StorageError` instead.  Some
    libraries report a full disk as RESOURCE_EXHAUSTED too, so the function checks the type of the error.
    """
    for cause in causes(error):
        text = one_line(cause).removeprefix("RESOURCE_EXHAUSTED: ")[:150]
        of_jax = type(cause).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
        # a buffer that cannot be allocated while a program runs is INTERNAL on a CPU
        is_short = "RESOURCE_EXHAUSTED" in str(cause) or "Out of memory" in str(cause)
        if isinstance(cause, MemoryError) or (of_jax and is_short):
            return f"memory is short: {text or 'Python found none'}"
        if isinstance(cause, RuntimeError) and "can't start new thread" in text:
            return "no more threads can be started"
    return ""


def causes(error: BaseException | None, seen: set[int] | None = None) -> Iterator[BaseException]:
    """An error and its causes, each once; `seen` holds the ids of those that were given before."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        yield from causes(other, seen)


@contextlib.contextmanager
def telling_limits(less: Callable[[], str] = lambda: "fewer seeds, episodes or tasks") -> Iterator[None]:
    """Turn an exhausted resource into a `MachineLimit`, which names the settings to lower, `less()`."""
    try:
        yield
    except HmrlError:
        raise
    except Exception as error:
        reached = limit_reached(error)
        if not reached:
            raise
        raise MachineLimit(f"{reached}\nto need less: {less()}") from error


@contextlib.contextmanager
def telling_run(run: Path) -> Iterator[None]:
    """Name the run in the message of an `Interrupted`."""
    try:
        yield
    except Interrupted as ended:
        raise Interrupted(ended.epoch, ended.signal_number, run) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with what may be meant; "" if nothing is close."""
    return did_you_mean_one_of(meant(word, known))


def meant(word: str, known: Iterable[str]) -> list[str]:
    """Up to five known words that `word` begins, else the closest one; none if none is close."""
    known = sorted(set(known))
    begun = [one for one in known if word and one.startswith(word)]
    close = closest(word, known)
    return begun if 0 < len(begun) <= 5 else [close] if close else []


def did_you_mean_one_of(words: Sequence[str]) -> str:
    """`; did you mean 'x', 'y' or 'z'?` with all words; "" if there is none."""
    *most, last = map(repr, words or [""])
    return f"; did you mean {', '.join(most)}{' or ' if most else ''}{last}?" if words else ""


def closest(word: str, known: Iterable[str]) -> str:
    """The known word closest to `word`; "" if none is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


def shown(value: object, limit: int = 60) -> str:
    """The `repr` of a value, cut to `limit` characters."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python converts
        text = "a very large number"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def typed(path: Path | str) -> str:
    """A path as a shell reads it, for a command in a message."""
    return shlex.quote(str(path))


def one_line(text: object) -> str:
    """`text` with each run of white space replaced by one space."""
    return " ".join(str(text).split())


def one_error(error: BaseException) -> str:
    """The class and the text of an exception in one short line."""
    return f"{type(error).__name__}: {one_line(error)[:200]}"


def joined(error: HmrlError) -> str:
    """The lines of a message as one."""
    return "; ".join(map(one_line, str(error).splitlines()))


_UNPRINTABLE = {code: "�" for code in (*range(32), *range(127, 160), *range(0xD800, 0xE000))}


_UNPRINTABLE |= {code: "�" for code in (0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F))}


def printable(text: str) -> str:
    """`text` with control characters replaced, which a terminal would obey instead of show."""
    return text.translate(_UNPRINTABLE)


def printable_lines(text: str) -> str:
    """Like `printable`, but keeps the ends of lines."""
    return "\n".join(map(printable, text.split("\n")))
