"""The numerical libraries are imported by what computes, and by nothing else."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest

import hmrl_cli
from hmrl_cli import config, lazy

NUMERICAL = {"jax", "jaxlib", "numpy", "flax", "optax", "brax", "orbax", "matplotlib", "mujoco"}


def leaves_out(code):
    check = (
        f"import sys; {code}; assert not {NUMERICAL!r} & set(sys.modules), {NUMERICAL!r} & set(sys.modules)"
    )
    return subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["meta-train", "--help"], ["list"], ["list", "families", "point"], ["--version"], ["x"]],
)
def test_light_commands_do_not_import_jax(argv):
    done = leaves_out(f"from hmrl_cli.cli.main import run; code = run({argv!r})")
    assert done.returncode == 0, done.stderr


def test_a_list_of_runs_and_completion_import_no_jax(tmp_path):
    experiment = config.resolve("meta-train", "point/smoke").experiment
    (tmp_path / "config.toml").write_text(config.to_toml(experiment))
    asks = {"_HMRL_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    asks["_TYPER_COMPLETE_ARGS"] = "hmrl meta-train point/smoke --set algorithm.inner_"
    done = leaves_out(
        f"import os; from hmrl_cli.cli.main import run; assert run(['runs', {str(tmp_path)!r}]) == 0; "
        f"os.environ.update({asks}); run([])"
    )
    assert done.returncode == 0 and "unknown" in done.stdout, done.stderr
    assert "algorithm.inner_lr" in done.stdout


def test_no_module_imports_jax():
    names = sorted(
        "hmrl_cli." + ".".join(path.relative_to(Path(hmrl_cli.__file__).parent).with_suffix("").parts)
        for path in Path(hmrl_cli.__file__).parent.rglob("*.py")
        if path.parent.name != "views"  # of libraries that need not be installed
    )
    imports = (
        "import importlib; [importlib.import_module(n.removesuffix('.__init__')) for n in "
        + repr(names)
        + "]"
    )
    done = leaves_out(imports)
    assert done.returncode == 0, done.stderr


def test_products_have_full_precision_unless_the_user_chose():
    kept = getattr(jax.config, lazy.MATMUL)
    try:
        for chosen, expected in ((None, "highest"), ("bfloat16", "bfloat16")):
            jax.config.update(lazy.MATMUL, chosen)
            lazy.pin()
            assert getattr(jax.config, lazy.MATMUL) == expected
    finally:
        jax.config.update(lazy.MATMUL, kept)
