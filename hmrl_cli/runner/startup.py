"""Settings that must come before the import of jax: quiet libraries and a private compilation cache.

A cached program is machine code that the process will run.  So a cache that others can write to is not used.
Each version of jaxlib and each kind of processor has a folder of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import logging
import os
import platform
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hmrl_cli import lazy
from hmrl_cli.compute import devices
from hmrl_cli.errors import ConfigError, one_line, shown
from hmrl_cli.runner import signals

MAX_CACHE_BYTES = 2 * 2**30
MIN_COMPILE_SECONDS = "0.5"
MAX_CPU_DEVICES = 8  # what is not spread runs on each of them
DEVICE_VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_DEFAULT_DEVICE")
MOST_CPU_DEVICES = 256  # that a user may ask for; each has threads of its own
_CACHE_WARNING = re.compile("Error (reading|writing) persistent compilation cache entry")
PATIENCE = "--xla_cpu_collective_call_terminate_timeout_seconds"


def start(join: Callable[[], None] | None = None) -> str:
    """Call `prepare`, import jax with its settings pinned, and check that it finds a device.

    Args:
        join: joins other processes, before jax looks for devices; raises what it raises.

    Returns:
        why there is no cache of compiled programs; "" where there is one.

    Raises:
        ConfigError: jax finds no device, or an environment variable keeps it from starting.
    """
    problem = prepare()
    _check_cpu_devices(os.environ.get("JAX_NUM_CPU_DEVICES", "1"))
    try:
        with signals.held():
            lazy.pin()
    except ValueError as error:  # of a JAX_* variable, which it names
        raise ConfigError(f"jax cannot start: {one_line(error)}\nmust be unset, or what jax takes") from None
    if join is not None:
        join()
    try:
        lazy.jnp.zeros(()).block_until_ready()  # JAX_DEFAULT_DEVICE may be another than the first
    except Exception as error:  # each platform fails in its own way
        raise _no_device(error) from None
    return problem


def on_own_devices() -> contextlib.AbstractContextManager[None]:
    """Compute on the devices of this process only, while the others that it has joined wait."""
    return devices.alone()


def _check_cpu_devices(number: str) -> None:
    if not re.fullmatch("[0-9]{1,3}", number) or not 1 <= int(number) <= MOST_CPU_DEVICES:
        raise ConfigError(
            f"JAX_NUM_CPU_DEVICES: found {shown(number)}; must be from 1 to {MOST_CPU_DEVICES}, or unset"
        )


def _no_device(error: Exception) -> ConfigError:
    """The error for a jax without a device.  Its own error is empty where a platform has no plugin."""
    reason = one_line(error)[:200] or "it has no plugin for that platform, or no such device is here"
    asked = [f"{name}={os.environ[name]}" for name in DEVICE_VARIABLES if name in os.environ]
    return ConfigError(
        f"{' '.join(asked)}{', but ' if asked else ''}jax finds no device: {reason}\n"
        "to run on the processor: JAX_PLATFORMS=cpu alone; on a GPU, in a checkout: pip install '.[cuda]'"
    )


def prepare() -> str:
    """Quieten libraries and turn the compilation cache of jax on.

    A variable that the user has set keeps its value.  One exception: the folder of the cache, if others can
    write to it, is not used.

    Returns:
        why there is no cache; "" where there is one.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Episodes that are spread over devices use every core; see devices.side_by_side.
    if not os.environ.get("JAX_NUM_CPU_DEVICES"):
        os.environ["JAX_NUM_CPU_DEVICES"] = str(min(_cores(), MAX_CPU_DEVICES))
    # These devices wait for one another.  On a busy machine, or suspended, one may be late by more than the
    # 40 seconds after which XLA would end the process.
    flags = os.environ.get("XLA_FLAGS", "")
    if PATIENCE not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {PATIENCE}=86400".strip()
    # "An NVIDIA GPU may be present": a device is chosen with JAX_PLATFORMS, not by a warning.
    logging.getLogger("jax._src.xla_bridge").setLevel(logging.ERROR)
    # where HOME cannot be written to, it makes do with a temporary folder, and says so
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    folder = cache_folder()
    if os.environ.get("JAX_COMPILATION_CACHE_DIR", str(folder)) != str(folder):
        return ""
    try:
        folder.parent.parent.mkdir(parents=True, exist_ok=True)
        for private in (folder.parent, folder):
            private.mkdir(mode=0o700, exist_ok=True)
        problem = _not_private(folder.parent) or _not_private(folder)
        if not problem:
            _prune(folder.parent, MAX_CACHE_BYTES)
    except OSError as error:
        problem = f"{folder}: {error.strerror}"
    if problem:
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # of a parent process
        return f"compiling without a cache: {problem}"
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", MIN_COMPILE_SECONDS)
    return ""


@contextlib.contextmanager
def cache_warnings(note: Callable[[str], None]) -> Iterator[None]:
    """Call `note` once where the cache cannot be used, in place of a warning of jax for each program."""
    noted = False

    def show(message: Warning | str, *details: Any) -> None:
        nonlocal noted
        if not _CACHE_WARNING.match(str(message)):
            otherwise(message, *details)
        elif not noted:
            noted = True
            reason = one_line(message).partition("': ")[2]
            note(f"the cache of compiled programs cannot be used: {reason[:200]}")

    with warnings.catch_warnings():
        otherwise = warnings.showwarning
        warnings.showwarning = show  # type: ignore[assignment]
        warnings.filterwarnings("always", _CACHE_WARNING.pattern)
        yield


def _cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def cache_folder() -> Path:
    """The folder of compiled programs for this version of jaxlib and this kind of processor."""
    chosen = os.environ.get("HMRL_CACHE_DIR")
    root = Path(chosen) if chosen else _user_cache() / "hmrl"
    version = importlib.metadata.version("jaxlib")
    return root.absolute() / "jax" / f"{version}-{_processor()}"


def _user_cache() -> Path:
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return Path(xdg) if os.path.isabs(xdg) else Path(os.path.expanduser("~/.cache"))


def _processor() -> str:
    """Hash of the model and features of the processor, because compiled programs depend on them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    wanted = ("model name", "flags", "Features", "CPU part")
    described = sorted({line for line in lines if line.startswith(wanted)})
    text = "\n".join([platform.machine(), platform.processor(), *described])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _not_private(folder: Path) -> str:
    """Why a cache folder is not private to this user; "" where it is."""
    status = folder.stat()
    if status.st_uid != os.getuid():
        return f"{folder} belongs to another user"
    if stat.S_IMODE(status.st_mode) & 0o022:
        return f"{folder} can be written by others; to use it: chmod 700 {folder}"
    return ""


def _prune(folder: Path, limit: int) -> None:
    """Remove the least recently used programs until the rest takes at most `limit` bytes."""
    entries = []
    for file in folder.rglob("*"):
        try:
            status = file.lstat()
        except FileNotFoundError:  # another process prunes too
            continue
        if stat.S_ISREG(status.st_mode):
            entries.append((max(status.st_atime, status.st_mtime), status.st_size, file))
    total = sum(size for _, size, _ in entries)
    for _, size, file in sorted(entries):
        if total <= limit:
            return
        file.unlink(missing_ok=True)
        total -= size
