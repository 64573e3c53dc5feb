"""What a process does before JAX starts: cache, flags, devices."""

import os
import warnings
from pathlib import Path

import pytest

from hmrl_cli import lazy
from hmrl_cli.errors import ConfigError
from hmrl_cli.runner import startup


@pytest.fixture
def environment(monkeypatch, tmp_path):
    for name in ("JAX_COMPILATION_CACHE_DIR", "HMRL_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")  # so that what prepare() sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return monkeypatch


def test_the_cache_is_private(environment, tmp_path):
    assert startup.prepare() == ""
    folder = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert folder.is_relative_to(tmp_path / "xdg" / "hmrl")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0.5"


def test_a_cache_that_others_can_write_is_not_used(environment, tmp_path):
    environment.setenv("HMRL_CACHE_DIR", str(tmp_path / "mine"))
    folder = startup.cache_folder()
    assert folder.is_relative_to(tmp_path / "mine")
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert "can be written by others" in startup.prepare()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    environment.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))  # as of a parent process
    assert "can be written by others" in startup.prepare()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    environment.setenv("HMRL_CACHE_DIR", "/proc/none")
    assert "compiling without a cache" in startup.prepare()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("JAX_NUM_CPU_DEVICES", "0", "JAX_NUM_CPU_DEVICES: found '0'; must be from 1 to 256"),
        ("JAX_NUM_CPU_DEVICES", "abc", "JAX_NUM_CPU_DEVICES: found 'abc'"),
        ("JAX_PLATFORMS", "cuda", "JAX_PLATFORMS=cuda, but jax finds no device: it has no plugin"),
    ],
)
def test_what_keeps_jax_from_starting_is_told(environment, name, value, expected):
    def fails(*_):
        raise AssertionError  # as jax does

    environment.setattr(lazy.jnp, "zeros", fails)  # and jax is imported
    environment.setenv(name, value)
    with pytest.raises(ConfigError, match=expected):
        startup.start()


def test_a_variable_that_jax_does_not_know_a_value_of_is_told(environment):
    def fails():
        raise ValueError("invalid truth value 'maybe' for environment 'JAX_ENABLE_X64'")

    environment.setattr(lazy, "pin", fails)
    with pytest.raises(ConfigError, match="cannot start: invalid truth value 'maybe' for"):
        startup.start()


def test_a_full_cache_is_noted_once():
    notes = []
    with pytest.warns(UserWarning, match="another"), startup.cache_warnings(notes.append):
        for name in ("jit_step", "jit_adapt"):
            text = (
                f"Error writing persistent compilation cache entry for '{name}': OSError: [Errno 28] No space"
            )
            warnings.warn(text, stacklevel=1)
        warnings.warn("another", stacklevel=1)
    assert notes == ["the cache of compiled programs cannot be used: OSError: [Errno 28] No space"]


def test_a_device_that_is_late_does_not_end_the_process(environment):
    startup.prepare()
    flags = os.environ["XLA_FLAGS"]
    assert flags.startswith("--xla_cpu_enable_fast_math=false ") and f"{startup.PATIENCE}=86400" in flags
    startup.prepare()
    assert os.environ["XLA_FLAGS"] == flags


def test_the_users_own_cache_is_left_alone(environment, tmp_path):
    environment.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    assert startup.prepare() == ""
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"
    assert not (tmp_path / "xdg").exists()


def test_the_cache_does_not_grow_for_ever(tmp_path):
    for age, name in enumerate("abc"):
        (tmp_path / name).write_bytes(b"x" * 10)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    startup._prune(tmp_path, 25)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
