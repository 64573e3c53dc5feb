"""Trackers, by libraries that only keep what they are given."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from hmrl_cli.errors import MissingDependency, StorageError
from hmrl_cli.storage import trackers
from hmrl_cli.storage.trackers import Tracked

SEED = Tracked(
    id="0123456789abcdef",
    name="a/seed0",
    group="a",
    state="complete",
    settings={"training.seed": 0, "provenance.argv": "hmrl x"},
    metrics=[(1, {"loss": 1.5}), (2, {"loss": 1.0})],
    evaluations={"test-sparse-relabel.broad=1.0": [(0, {"success": 0.0}), (1, {"success": 1.0})]},
    numbers={"skills/accuracy": 0.75},
)
GROWN = SEED._replace(metrics=[*SEED.metrics, (3, {"loss": 0.5})])


def module(monkeypatch, name, **content):
    library = ModuleType(name)
    library.__file__ = f"{name}.py"
    library.__dict__.update(content)
    monkeypatch.setitem(sys.modules, name, library)


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    """Keeps runs that have begun, and makes their folders."""
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    begun = []

    def init(**given):
        run = SimpleNamespace(given=given, rows=[], axes={}, summary={}, codes=[])
        run.dir = str(tmp_path / "wandb" / f"offline-run-{len(begun)}-{given['id']}" / "files")
        Path(run.dir).mkdir(parents=True)
        run.log = run.rows.append
        run.define_metric = lambda name, step_metric=None: run.axes.update({name: step_metric})
        run.finish = lambda exit_code: run.codes.append(exit_code)
        begun.append(run)
        return run

    module(monkeypatch, "wandb", init=init, Settings=lambda **given: given)
    return begun


def test_wandb_gets_an_offline_run_and_no_twin(wandb, tmp_path):
    ((place, written),) = trackers.write("wandb", [SEED])
    (run,) = wandb
    assert written and (tmp_path / place / "files").is_dir() and run.codes == [0]
    assert {key: run.given[key] for key in ("mode", "project", "id", "group")} == {
        **{"mode": "offline", "project": "hmrl"},
        **{"id": SEED.id, "group": "a"},
    }
    assert run.given["config"] == SEED.settings and run.summary == SEED.numbers
    stem = "eval/test-sparse-relabel.broad=1.0"
    assert run.rows == [
        *({"epoch": 1, "loss": 1.5}, {"epoch": 2, "loss": 1.0}),
        *({f"{stem}/updates": updates, f"{stem}/success": float(updates)} for updates in (0, 1)),
    ]
    assert run.axes[f"{stem}/*"] == f"{stem}/updates" and run.axes["*"] == "epoch"
    assert trackers.write("wandb", [SEED]) == [(place, False)] and len(wandb) == 1
    ((other, written),) = trackers.write("wandb", [GROWN])
    assert written and len(wandb) == 2 and wandb[1].given["id"] == SEED.id
    assert [folder.name for folder in (tmp_path / "wandb").iterdir()] == [Path(other).name]


class Client:
    """A store of MLflow."""

    runs: dict
    experiments: dict

    def get_experiment_by_name(self, name):
        number = self.experiments.get(name)
        return number and SimpleNamespace(experiment_id=number)

    def create_experiment(self, name):
        return self.experiments.setdefault(name, "7")

    def search_runs(self, experiments, query):
        assert experiments == ["7"]
        return [run for run in self.runs.values() if f"'{run.data.tags['hmrl.id']}'" in query]

    def create_run(self, experiment, tags):
        info = SimpleNamespace(run_id=f"run{len(self.runs)}", status="RUNNING")
        data = SimpleNamespace(tags=dict(tags), metrics=[], params={})
        return self.runs.setdefault(info.run_id, SimpleNamespace(info=info, data=data))

    def log_batch(self, run_id, metrics=(), params=()):
        assert len(metrics) <= 1000 and len(params) <= 100
        self.runs[run_id].data.metrics += metrics
        self.runs[run_id].data.params |= dict(params)

    def set_terminated(self, run_id, status):
        self.runs[run_id].info.status = status

    def set_tag(self, run_id, name, value):
        self.runs[run_id].data.tags[name] = value

    def delete_run(self, run_id):
        del self.runs[run_id]


@pytest.fixture
def mlflow(monkeypatch):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.setattr(Client, "runs", {}, raising=False)
    monkeypatch.setattr(Client, "experiments", {}, raising=False)
    entities = SimpleNamespace(Metric=lambda *given: given, Param=lambda *given: given)
    module(monkeypatch, "mlflow", MlflowClient=Client, entities=entities)
    return Client


def test_mlflow_gets_a_run_and_no_twin(mlflow):
    many = {f"s{number}": number for number in range(250)}
    seed = SEED._replace(settings=many, state="diverged")
    ((place, written),) = trackers.write("mlflow", [seed])
    run = mlflow.runs[place]
    assert written and run.info.status == "FAILED" and run.data.params["s249"] == "249"
    assert len(run.data.params) == 250 and run.data.tags["mlflow.runName"] == "a/seed0"
    assert run.data.metrics == [
        *(("loss", 1.5, 0, 1), ("loss", 1.0, 0, 2)),
        *(("eval/test-sparse-relabel.broad_1.0/success", float(step), 0, step) for step in (0, 1)),
        ("skills/accuracy", 0.75, 0, 0),
    ]
    assert trackers.write("mlflow", [seed]) == [(place, False)]
    trackers.write("mlflow", [GROWN])
    (run,) = mlflow.runs.values()
    assert len(run.data.metrics) == 6 and run.info.status == "FINISHED"


def test_what_was_cut_short_is_written_anew(mlflow, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Client, "set_terminated", lambda *given: 1 / 0)
        with pytest.raises(StorageError, match=r"^--to mlflow: ZeroDivisionError: division by zero$"):
            trackers.write("mlflow", [SEED])
    trackers.write("mlflow", [SEED])
    (run,) = mlflow.runs.values()
    assert run.data.tags["hmrl.digest"] == SEED.digest and len(run.data.metrics) == 5
    monkeypatch.setattr(Client, "set_terminated", lambda *given: 1 / 0)
    with pytest.raises(StorageError):
        trackers.write("mlflow", [GROWN])
    assert run in mlflow.runs.values()  # until there is another one


@pytest.mark.parametrize("name", trackers.TRACKERS)
def test_a_tracker_that_is_not_installed_is_named(name, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, name, None)
    told = rf"^--to {name}: .*; in a checkout: pip install '.\[{name}\]'$"
    with pytest.raises(MissingDependency, match=told):
        trackers.write(name, [SEED])
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / name).mkdir()  # where offline runs are, which Python would import
    with pytest.raises(MissingDependency, match="is not installed"):
        trackers.write(name, [SEED])
