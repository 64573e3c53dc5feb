"""The wings, the direction of their imports, and the tests that mirror them, read from the source.

An import inside a function counts as much as one at the top; one for type checkers does not count.
"""

import ast
import graphlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import hmrl_cli

ROOT = Path(hmrl_cli.__file__).parent
TESTS = Path(__file__).parent
PLUGINS = ("families", "algorithms", "bonuses")
GROUND = (
    "errors",
    "experiment",
    "inputs",
    "lazy",
    "reading",
    "schema",
    "types",
    "version",
)  # imports nothing above
WINGS = {  # what each imports beside the ground
    "views": ("runner", "config", "evaluation", "environment"),
    "cli": ("suite", "runner", "report", "storage", "config", "evaluation"),
    "suite": ("report", "storage", "config", "evaluation"),
    "runner": ("report", "storage", "config", "evaluation", "environment", "compute"),
    "report": ("storage", "config", "evaluation", "environment"),
    "storage": ("config",),
    "config": (),  # reaches the plugins by their names alone
    "evaluation": ("environment", "learning", "compute"),
    "families": ("environment",),
    "algorithms": ("meta_gradient", "search", "environment", "learning", "compute"),
    "bonuses": ("environment", "learning", "compute"),
    "meta_gradient": ("search", "environment", "learning", "compute"),
    "search": ("environment", "learning", "compute"),
    "learning": ("compute",),
    "environment": (),
    "compute": (),
}
MAX_LINES = 350
MAX_TEST_LINES = 400
THROUGH = {  # modules without a test file of their name, and the file that tests them
    # what others are made of: nothing but names, types, fields or a call of another module
    "__init__": "test_package.py",
    "__main__": "cli/test_main.py",
    "version": "cli/test_main.py",
    "types": "families/test_contract.py",
    "schema": "config/test_validation.py",
    "experiment": "config/test_consistency.py",
    "meta_gradient.config": "config/test_consistency.py",
    "meta_gradient.problem": "meta_gradient/test_trust_region.py",
    "meta_gradient.adaptation": "meta_gradient/test_batches.py",
    "meta_gradient.meta_learner": "meta_gradient/test_learner.py",
    "storage.resuming": "storage/test_naming.py",
    # seen in what commands print
    "cli.output": "cli/test_tables.py",
    "cli.session": "cli/test_cluster.py",
    "runner.progress": "cli/test_train.py",
    "runner.describe": "runner/test_evaluate.py",
    # what several processes exchange, and what one of them writes
    "compute.processes": "cli/test_cluster.py",
    "storage.follower": "cli/test_cluster.py",
    "storage.arrays_on_disk": "storage/test_checkpoints.py",
    # seen in a picture or a page
    "environment.frames": "runner/test_render.py",
    "report.viewer.__init__": "report/test_viewer.py",
    "report.viewer.episodes": "runner/test_render.py",
    "report.style": "report/test_page.py",
    "report.elements": "report/test_page.py",
    "report.provenance": "report/test_page.py",
    "report.drawing": "report/test_figures.py",
    # one test for every plugin, by its name
    "families.ant_dir": "families/test_contract.py",
    "families.ant_goal": "families/test_contract.py",
    "families.ant_maze": "families/test_ant.py",
    "families.ant_vel": "families/test_contract.py",
    "families.ant_waypoint": "families/test_ant.py",
    "families.cheetah_hurdles": "families/test_cheetah.py",
    "families.half_cheetah_dir": "families/test_cheetah.py",
    "families.half_cheetah_vel": "families/test_cheetah.py",
    "families.point": "families/test_kinematic.py",
    "families.sparse_point": "families/test_kinematic.py",
    "families._plane": "families/test_kinematic.py",
    "families._ring": "families/test_goals.py",
    "families._speed": "families/test_cheetah.py",
    "families._walkers": "families/test_rewards.py",
    "bonuses._shared": "bonuses/test_rnd.py",
    # parts of an update, which is tested as a whole
    "compute.finite": "compute/test_epochs.py",
    "environment.features": "algorithms/skills/test_diayn.py",
    "learning.learning_rate": "learning/test_ppo.py",
    "learning.networks": "learning/test_ppo.py",
    "learning.novelty": "bonuses/test_rnd.py",
}
NUMERICAL = {
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "flax",
    "optax",
    "orbax",
    "matplotlib",
    "tensorboardX",
    "safetensors",
}
SIMULATORS = {"brax", "mujoco", "jaxopt"}


class Import(NamedTuple):
    target: str  # dotted name
    at_top: bool  # executed when the module is imported


def imports(source: str) -> list[Import]:
    return list(_imports(ast.parse(source), at_top=True))


def _imports(node: ast.AST, at_top: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _imports(other, at_top)
        elif isinstance(child, ast.Import):
            yield from (Import(alias.name, at_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (Import(f"{child.module}.{alias.name}", at_top) for alias in child.names)
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith("import_module"):
            name = child.args[0]
            if isinstance(name, ast.Constant):
                yield Import(str(name.value), at_top)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, at_top and not inside)


UNTRUSTED = ("click", "pickle", "yaml", "dill", "cloudpickle")
PRIVATE_CODE = ("runner.programs", "pickle")  # machine code from a cache that others cannot write to


def problems(module: str, source: str) -> list[str]:
    """What is wrong with the imports of a module, named as inside the package."""
    found = []
    for target, at_top in imports(source):
        library = target.split(".")[0]
        if library in NUMERICAL and at_top and module != "lazy":
            found.append(f"imports {library} at the top, not from lazy")
        if library in SIMULATORS and not module.startswith(("families.", "views.")):
            found.append(f"imports {library} outside families")
        if library == "typer" and not module.startswith("cli."):
            found.append("imports typer outside cli")
        if library in UNTRUSTED and (module, library) != PRIVATE_CODE:
            found.append(f"imports {library}")
        if library == "hmrl_cli":
            found += _wrong_direction(module, target.removeprefix("hmrl_cli").lstrip("."))
    return found


def _wrong_direction(module: str, target: str) -> list[str]:
    kind, parts = module.split(".")[0], target.split(".")
    if kind in ("__init__", "__main__"):
        return []
    if kind in PLUGINS and parts[0] == kind:
        return [] if any(part.startswith("_") for part in parts) else [f"imports its sibling {target}"]
    if kind in PLUGINS and parts[0] in PLUGINS:
        return [f"imports {target}, another kind of plugin"]
    if parts[0] in (kind, *GROUND, *WINGS.get(kind, ())):
        return []
    return [f"imports {target}, which stands above it or beside"]


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_direction(path):
    assert problems(module_name(path), path.read_text()) == []


def test_no_module_imports_one_that_imports_it():
    """Not for its types, either."""
    known = {module_name(path): path for path in modules()}
    graph = {name: _modules_in(path, known) - {name} for name, path in known.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises where there is a circle


def _modules_in(path: Path, known: Collection[str]) -> set[str]:
    """The modules of the package that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hmrl_cli."):
            inner = node.module.removeprefix("hmrl_cli.")
            named = {f"{inner}.{alias.name}" for alias in node.names}
            found |= {one for one in named | {inner, f"{inner}.__init__"} if one in known}
    # a package hands names of its modules on; whoever imports a module beside it does not import these
    beside = f"{module_name(path).rpartition('.')[0]}.__init__"
    return found - {beside}


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_only_the_command_line_prints_exits_or_reads_argv(path):
    if module_name(path).startswith("cli."):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        assert text not in ("print", "input", "exit", "sys.exit", "os._exit", "sys.argv"), (
            f"line {node.lineno}"
        )


def test_above_the_plugins_few_wings_compile():
    above = set(WINGS) - {*PLUGINS, "meta_gradient", "search", "learning", "environment", "compute"}
    compiling = {name.split(".")[0] for name in map(module_name, modules()) if "jax.jit(" in source_of(name)}
    assert compiling & above == {"views", "runner", "evaluation"}


def source_of(module: str) -> str:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()


def test_keys_are_made_in_one_place_by_one_generator():
    for path in modules():
        makes = [
            word
            for word in ("random.key(", "random.PRNGKey(", "wrap_key_data(seed)")
            if word in path.read_text()
        ]
        assert not makes or path.name == "lazy.py", f"{path.name}: {makes}; must be lazy.root_key"


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_nothing_executes_what_it_reads(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("eval", "exec", "compile", "os.system"), (
                f"line {node.lineno}"
            )
            for keyword in node.keywords:
                forbidden = keyword.arg in ("allow_pickle", "shell") and ast.unparse(keyword.value) != "False"
                assert not forbidden, f"line {node.lineno}"


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_every_module_says_what_it_is_and_is_short(path):
    text = path.read_text()
    if path.stat().st_size:
        assert ast.get_docstring(ast.parse(text)) and text.count("\n") <= MAX_LINES


def test_scripts_are_short_too():
    scripts = [*ROOT.glob("**/*.js"), *TESTS.parent.glob("experiments/**/*.py")]
    long = [path.name for path in scripts if path.read_text().count("\n") > MAX_LINES]
    assert len(scripts) > 50 and not long


def own_test(module: str) -> Path:
    """The test file of a module's name in the mirrored folder."""
    *folders, name = module.split(".")
    return TESTS.joinpath(*folders, f"test_{name.lstrip('_')}.py")


def test_every_module_has_its_test_file():
    names = {module_name(path) for path in modules()}
    folders = {name for name in names if name.endswith("__init__") and len(name.split(".")) == 2}
    inner = {name for name in names if name.startswith("algorithms.") and name.endswith("__init__")}
    missing = {name for name in names - folders - inner if not own_test(name).is_file()}
    assert missing == set(THROUGH)
    assert all((TESTS / file).is_file() for file in THROUGH.values())


def test_every_test_file_is_short_and_in_the_folder_of_what_it_tests():
    for path in TESTS.rglob("test_*.py"):
        assert path.read_text().count("\n") <= MAX_TEST_LINES, path.name
    folders = {str(path.parent.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}
    assert folders <= {str(path.parent.relative_to(ROOT)) for path in modules()}


def test_every_folder_is_a_wing():
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(WINGS)
    assert {path.stem for path in ROOT.glob("*.py")} == {*GROUND, "__init__", "__main__"}


def test_no_wing_reaches_itself():
    def below(wing: str) -> set[str]:
        return {wing}.union(*(below(other) for other in WINGS[wing]))

    for wing, imported in WINGS.items():
        assert all(wing not in below(other) for other in imported)


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("environment.rollout", "import jax.numpy as jnp", "imports jax at the top"),
        ("environment.rollout", "def f():\n    from hmrl_cli.storage import writer", "stands above it"),
        ("learning.ppo", "from hmrl_cli.families.point import make", "stands above it or beside"),
        ("types", "from hmrl_cli.environment.rollout import unroll", "stands above it"),
        ("learning.sac", "from hmrl_cli.environment import rollout", "or beside"),
        ("compute.epochs", "from brax import envs", "imports brax outside families"),
        ("compute.epochs", "import importlib\nimportlib.import_module('brax.envs')", "brax outside families"),
        ("families.point", "from hmrl_cli.families import ant_goal", "imports its sibling"),
        ("algorithms.meta.maml", "from hmrl_cli.algorithms.meta import maesn", "imports its sibling"),
        ("families.point", "from hmrl_cli.algorithms.meta import maml", "another kind of plugin"),
        ("report.page", "import typer", "imports typer outside cli"),
        ("learning.sac", "import pickle", "imports pickle"),
    ],
)
def test_a_wrong_direction_is_seen(module, source, expected):
    assert expected in problems(module, source)[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("environment.rollout", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jax"),
        ("storage.writer", "def f():\n    import orbax.checkpoint"),
        ("lazy", "import jax"),
        ("families.point", "from hmrl_cli.families import _plane\nfrom hmrl_cli.families._goals import x"),
        ("families._physics", "import importlib\nimportlib.import_module('brax')"),
        ("cli.train", "def f():\n    from hmrl_cli.runner import train"),
    ],
)
def test_the_right_direction_is_left_alone(module, source):
    assert problems(module, source) == []
