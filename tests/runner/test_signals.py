import builtins
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from hmrl_cli import __main__
from hmrl_cli.errors import Interrupted
from hmrl_cli.runner import signals


def test_signals_only_set_a_flag():
    before = signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        with signals.stop_signals() as stop:
            assert stop() is None
            os.kill(os.getpid(), number)
            assert stop() == number
    with signals.stop_signals(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_ctrl_c_while_memory_is_freed_is_not_lost():
    """Python ignores what is raised in a callback of its collector, of which jax has one."""

    def _xla_gc_callback(phase, details):
        if phase == "start":
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    signals.interrupt_surely()
    try:
        gc.callbacks.append(_xla_gc_callback)
        with contextlib.suppress(ValueError):
            gc.collect()
            gc.callbacks.remove(_xla_gc_callback)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(20)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as after nohup
        signals.interrupt_surely()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_ctrl_c_while_a_library_is_loaded_waits_for_it():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []
    try:
        with pytest.raises(KeyboardInterrupt), signals.held():
            signal.raise_signal(signal.SIGINT)
            done.append("loaded")
        assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with signals.stop_signals() as stop, signals.held():  # a training has an answer of its own
            signal.raise_signal(signal.SIGINT)
            assert stop() == signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_ctrl_c_while_the_command_is_imported_is_one_line(monkeypatch, capsys):
    usual = builtins.__import__

    def interrupted(name, *rest):
        if name == "hmrl_cli.cli.main":
            raise KeyboardInterrupt
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit, match="130"):
        __main__.main()
    assert capsys.readouterr() == ("", "error: interrupted\n")


def test_work_that_is_not_stopped_is_done():
    assert signals.unless_stopped(lambda: 3, lambda: None, 0) == 3
    with pytest.raises(ZeroDivisionError):
        signals.unless_stopped(lambda: 1 // 0, lambda: None, 0)


def test_work_that_is_stopped_is_not_waited_for():
    go_on = threading.Event()
    with pytest.raises(Interrupted, match="epoch 7"):
        signals.unless_stopped(go_on.wait, lambda: signal.SIGTERM, 7)
    go_on.set()


COMPILES = """
import jax, jax.numpy as jnp
from hmrl_cli import errors
from hmrl_cli.cli import main as cli
from hmrl_cli.runner import signals

def slow(x):
    for i in range(3000):
        x = jnp.sin(x) * i + jnp.cumsum(x)
    return x

print("compiling", flush=True)
lowered = jax.jit(slow).lower(jnp.ones(50))
with signals.stop_signals() as stop:
    print("ready", flush=True)
    try:
        signals.unless_stopped(lowered.compile, stop, 0)
    except errors.Interrupted:
        print("left", flush=True)
cli.leave(75)
"""


def test_a_process_leaves_in_the_midst_of_a_compilation():
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "0", "XLA_FLAGS": ""}
    command = [sys.executable, "-c", COMPILES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "compiling\n" and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 75
        assert process.stdout.read() == "left\n"
