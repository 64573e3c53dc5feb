"""Entry point of `hmrl`: the list of all commands, and the exit code of everything that can go wrong.

A command validates its arguments before jax is imported, and then calls `runner` or `report`.
stdout holds only the result: one JSON document with --json, otherwise text such as a run directory.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import re
import select
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import pydantic
import typer

from hmrl_cli import errors
from hmrl_cli.cli import (
    cluster,
    comparing,
    completion,
    demo,
    guide,
    lookup,
    new,
    options,
    rendering,
    results,
    runs,
    suite,
    track,
    train,
    welcome,
)
from hmrl_cli.cli.output import print_line
from hmrl_cli.config import plugin_files
from hmrl_cli.errors import (
    ConfigError,
    Diverged,
    HmrlError,
    RunDirError,
    StorageError,
    one_error,
    one_line,
    shown,
    telling_limits,
)
from hmrl_cli.runner import signals
from hmrl_cli.storage.files import DISK_ERRORS
from hmrl_cli.version import __version__

app = typer.Typer(
    name="hmrl",
    cls=options.Commands,
    help="Exploration via hierarchical meta reinforcement learning.",
    pretty_exceptions_enable=False,
    # Boxes and colours for a person, plain text for a file or a pipe.
    rich_markup_mode="rich" if sys.stdout and sys.stdout.isatty() else None,
)

OF_STDOUT = {*DISK_ERRORS, errno.EBADF}  # numbers of errors that, without the name of a file, are of stdout

COMMANDS: dict[str, Callable[..., None]] = {
    "pretrain-skills": train.pretrain_skills,
    "meta-train": train.meta_train,
    "resume": train.resume,
    "runs": runs.runs,
    "export": results.export,
    "imitate": results.imitate,
    "eval": results.evaluate,
    "compare": comparing.compare,
    "report": comparing.report,
    "render": rendering.render,
    "track": track.track,
    "demo": demo.demo,
    "guide": guide.guide,
    "new": new.new,
    "doctor": lookup.doctor,
    "list": lookup.list_,
    "show": lookup.show,
}
for _name, _command in COMMANDS.items():
    app.command(_name, cls=options.Command)(_command)
app.add_typer(suite.app, name="suite")


def main() -> None:
    """Entry point of `hmrl`."""
    if sys.warnoptions:  # -W and PYTHONWARNINGS: what a library warns of must not end a run
        warnings.resetwarnings()
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)
    signals.interrupt_surely()
    leave(run(sys.argv[1:]))


def leave(code: int) -> NoReturn:
    """End the process with an exit code; at once where libraries would wait for a thread."""
    if signals.goes_on() or cluster.has_joined():
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code.  Errors are lines on stderr, without a traceback."""
    _occupy_standard_descriptors()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="as_utf8")
    debug = "--debug" in argv
    try:
        with telling_limits():
            code = app(args=list(argv), prog_name="hmrl", standalone_mode=False)
        sys.stdout.flush()
        if code == 130:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except (BrokenPipeError, SystemExit) as done:  # typer turns the one into the other
        broken = done if isinstance(done, BrokenPipeError) else done.__context__
        if isinstance(broken, BrokenPipeError) and _is_read(sys.stdout):
            return _explain(_of_system(broken), debug)
        _discard_stdout()  # as in `hmrl list | head -1`: the reader has what it wants
        return completion.code_of(done)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        return 130
    except OSError as error:
        return _explain(_of_system(error), debug)
    except Exception as error:
        return _explain(error, debug)


def _occupy_standard_descriptors() -> None:
    """Open /dev/null for closed standard streams, so that no library prints into a file of a run."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _is_read(stream: TextIO) -> bool:
    """Whether somebody still reads what is written to a stream."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)  # poll reports a closed reader without being asked for it
    return not poll.poll(0)


def _of_system(error: OSError) -> HmrlError:
    """The `HmrlError` for an error of the system.  Files of a run have their own errors."""
    if error.errno == errno.ENAMETOOLONG:
        return ConfigError(f"found {shown(str(error.filename))}; must be a name that a file can have")
    if isinstance(error, FileNotFoundError) and not _has_folder():
        return RunDirError("the current folder was removed; change to one that exists")
    named = error.filename
    if named is None and error.errno in OF_STDOUT:
        _discard_stdout()
        named = "stdout"
    return StorageError(": ".join(str(part) for part in (named, error.strerror or error) if part is not None))


def _has_folder() -> bool:
    """Whether the working directory exists."""
    with contextlib.suppress(OSError):
        return bool(Path.cwd())
    return False


def _as_utf8(error: UnicodeError) -> tuple[bytes, int]:
    """Encode characters that the encoding of stdout lacks as UTF-8, so that a path stays the same path."""
    assert isinstance(error, UnicodeEncodeError)
    return error.object[error.start : error.end].encode("utf-8", "surrogateescape"), error.end


codecs.register_error("as_utf8", _as_utf8)


def _explain(error: Exception, debug: bool) -> int:
    """Print an error in one or two lines, and return its exit code."""
    usage = getattr(error, "format_message", None)  # typer's own errors, whose class it does not export
    if debug and usage is None:
        with contextlib.suppress(OSError):
            traceback.print_exception(error)
    if type(error).__name__ in ("FloatingPointError", "InternalFloatingPointError"):  # by JAX_DEBUG_NANS
        error = Diverged(f"what jax looked at ({one_line(error)[:100]})")
    if isinstance(error, HmrlError):
        _complain(str(error))
        return error.exit_code
    if usage is not None:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "hmrl"
        _complain(f"{_with_found(one_line(usage()), error.__cause__)}\nsee: {command} --help")
        return 2
    where = plugin_files.line_of(error)  # of a user's plugin, whose fault is none of hmrl
    _complain(
        f"{where or 'bug'}: {one_error(error)}\nto see where: rerun with --debug, as in: hmrl --debug ..."
    )
    return 2 if where else 1


def _with_found(problem: str, cause: BaseException | None) -> str:
    """The text of a typer error, with the value that typer leaves out if pydantic refused it."""
    problem = problem.replace("Value error, ", "")
    if not isinstance(cause, pydantic.ValidationError):
        return problem
    found = str(cause.errors()[0]["input"])
    value = found if re.fullmatch(r"-?\d{1,20}", found) else shown(found)
    return problem.replace("Input should be", f"found {value}; must be").partition(", unable to parse")[0]


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):
        for line in f"error: {text}".splitlines():
            print(errors.printable(line), file=sys.stderr)


def _discard_stdout() -> None:
    """Redirect stdout to nowhere, so that the last flush of the interpreter does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(wanted: bool) -> None:
    if wanted:
        print_line(f"hmrl {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _globals(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Exploration via hierarchical meta reinforcement learning."""
    if ctx.invoked_subcommand is None:
        welcome.show()
