"""The benchmarks' own words: what the README shows is what was measured."""

import importlib.util
import json
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "experiments/results/families/families.json"


@pytest.fixture(scope="module")
def families() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("families", ROOT / "experiments/bench/families.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_the_readme_is_the_one_measured(families):
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition(families.MARKS[0])[2].partition(families.MARKS[1])[0].strip()
    assert shown == families.table(json.loads(RESULT.read_text()))
    for name in families.everything():
        assert f"| `{name}` |" in shown


def test_the_table_goes_between_the_marks(families, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{families.MARKS[0]}\nold\n{families.MARKS[1]}\nbelow\n")
    families.put_into(readme, "| new |")
    assert readme.read_text() == f"above\n{families.MARKS[0]}\n| new |\n{families.MARKS[1]}\nbelow\n"


def test_bare_physics_is_that_of_the_family(families):
    """Without compiling anything: the pipeline found has the family's body, and point has none."""
    family, physics = families.make("wheeled", dt=0.02, substeps=2)
    assert physics.shapes == family.scene.shapes and physics.substep_dt == pytest.approx(0.01)
    assert families.make("point")[1] is None
    assert families.backends("point") == (None,) and families.backends("ant_goal")[0] == "spring"
