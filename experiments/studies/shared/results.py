"""What a study keeps of a suite's folder: `per_task.npz`, every number, and `summary.json`, what tables show.

Arms are FAMILY/ARM, and libraries of skills FAMILY/skills/LIBRARY.  `per_task.npz` holds float32:

    ARM/SPLIT-REWARD-WAY/return            [seed, task, step], and so success and reached
    ARM/SPLIT-REWARD-WAY/flat              [task] or one number, and so feasible: the reference lines
    ARM/SPLIT-REWARD-WAY/return_curve      [middle low high, step], and so success, reached and fraction
    ARM/metrics/NAME                       [epoch, seed], or [epoch] where all seeds share it
    ARM/skills/NAME                        [seed] or [seed, skill]: what `skills.json` says of a library
    ARM/config                             the run's config.toml, as bytes
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.config.layers import leaves
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import np
from hmrl_cli.schema import Evaluation
from hmrl_cli.suite import cells, declaration, states

MEASURES = ("return", "success", "reached", "fraction")
SUITES = Path(__file__).parents[2] / "suites"
OF_PARTS = ("bonus.name", "hierarchy.use")  # settings that are missing where the part is
TRAINED = (
    *("family.", "algorithm.", "bonus.", "hierarchy.use", "hierarchy.steps", "hierarchy.stochastic"),
    *(f"training.{name}" for name in ("epochs", "updates", "action_repeat", "num_seeds", "seed")),
)
METRIC = re.compile("/metrics/(?!env_steps)")
BITS = 12  # of metrics, which show how trainings went: one part in 4,000
FIGURES, SUMMARY, FIGURE = 3, 30_000, 80_000  # how many, and bytes

Arrays = dict[str, Any]
Document = dict[str, Any]


def rule(document: Document) -> str:
    """How an evaluation adapts, by its settings."""
    settings = document["adaptation"]
    if settings.get("tune_after") is not None:
        return "tuned"
    if settings.get("fallback"):
        return "exploring"
    if settings.get("imitation_steps"):
        return "imitation"
    return {"gradient": "own"}.get(settings["rule"], settings["rule"])


def curve(document: Document, measure: str) -> Any:
    """A measure after each number of updates [middle low high, step]; None where there is none.

    The middle is an interquartile mean of returns, and a mean of the rest.
    """
    values = document.get(measure)
    if not values:
        return None
    middle = "iqm" if measure == "return" or values.get("mean") is None else "mean"
    return None if values.get(middle) is None else np.array([values[middle], values["low"], values["high"]])


def evaluation_arrays(key: str, document: Document) -> Arrays:
    """Every number of an evaluation."""
    arrays = {f"{key}/{name}": values for name, values in document["per_task"].items() if values is not None}
    for line in ("flat", "feasible"):
        if document[line] is not None:
            arrays.setdefault(f"{key}/{line}", document[line])
    curves = {f"{key}/{measure}_curve": curve(document, measure) for measure in MEASURES}
    return arrays | {name: values for name, values in curves.items() if values is not None}


def run_arrays(arm: str, run: Path) -> Arrays:
    """Every metric of a training, and its configuration."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    names = sorted(set(rows[0]).intersection(*rows) - {"epoch"})
    arrays = {f"{arm}/metrics/{name}": [row[name] for row in rows] for name in names}
    return arrays | {f"{arm}/config": np.bytes_((run / "config.toml").read_bytes())}


def skill_arrays(arm: str, run: Path) -> Arrays:
    """What the skills of a run are, if they were diagnosed: numbers [seed] or [seed, skill]."""
    if not (run / "skills.json").exists():
        return {}
    found = json.loads((run / "skills.json").read_text())
    return {f"{arm}/skills/{name}": values for name, values in found.items() if isinstance(values, list)}


def as_kept(arrays: Arrays) -> Arrays:
    """Numbers as float32, metrics of trainings rounded; a text, such as a configuration, as it is."""
    kept = {name: np.asarray(values) for name, values in arrays.items()}
    numbers = {name: x.astype(np.float32) for name, x in kept.items() if x.dtype.kind != "S"}
    rounded = {name: _rounded(x) for name, x in numbers.items() if METRIC.search(name)}
    return kept | numbers | rounded


def _rounded(values: Any) -> Any:
    """Numbers with `BITS` binary digits, which compress better."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2**BITS) / 2**BITS, exponent)


def evaluation_row(
    document: Document, protocols: list[dict[str, Any]], measures: Sequence[str] = MEASURES
) -> dict[str, Any]:
    """What an evaluation came to after its last update: middle, low and high of each measure.

    `protocol` counts in `protocols`, which it extends: what evaluations share that can be compared.
    """
    shared = ("split", "reward", "num_seeds", "num_tasks", "episodes", "flat", "feasible")
    protocol = {name: document.get(name) for name in shared} | {"updates": document["steps"][-1]}
    protocol |= {"tasks_sha256": document["tasks_sha256"][:8]}
    plain = dict(leaves(Evaluation().model_dump()))
    settings = document["adaptation"]
    told = {name: x for name, x in settings.items() if name == "rule" or x != plain.get(name)}
    protocol |= {name: x for name, x in told.items() if x not in (0, 1, None)}
    if settings["rule"] == "relabel":  # shares of the prior say who searches, whatever their defaults
        protocol |= {name: settings.get(f"relabel.{name}") for name in ("broad", "turned")}
    curves = {measure: curve(document, measure) for measure in measures}
    last = {measure: values[:, -1] for measure, values in curves.items() if values is not None}
    return {"protocol": _numbered(protocols, _short(protocol))} | last


def run_row(run: Path, machines: list[dict[str, Any]]) -> dict[str, Any]:
    """What made a run: options, seeds, steps, source; `machine` counts in `machines`, which it extends."""
    told = json.loads((run / "provenance.json").read_text())
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    hardware = {
        key: told["machine"][key] for key in ("platform", "cores", "devices") if key in told["machine"]
    }
    machine = told["versions"] | {
        key: " ".join(value) if isinstance(value, list) else value for key, value in hardware.items()
    }
    row = {
        "command": _command(told["argv"]),
        "seeds": told["seeds"],
        "env_steps": last["env_steps"],
        "git": _commit(told["git"]),
        "machine": _numbered(machines, machine),
        "config": told["config_hash"][:8],
    }
    skills = told.get("skills")
    return row | ({"skills": skills["arrays_sha256"][:8]} if skills else {})


def _commit(git: str | None) -> str | None:
    """A commit in short; None where a run was made outside of a repository."""
    return git and git[:8] + ("-dirty" if git.endswith("-dirty") else "")


def _command(argv: list[str]) -> str:
    """The preset and the settings of a command, without its places and seeds."""
    text = " ".join(argv[2:])
    return re.sub(r" --(run-dir|skills|num-seeds|seed) \S+| --resume| --set(?= )", "", text)


def gather_suite(
    study: Path, folder: Path, measures: Sequence[str] = MEASURES
) -> tuple[dict[str, Any], Arrays]:
    """Summary, of the measures named, and arrays of the cells that are done in the folder of a study's suite.

    The seeds of an arm must be those of one run.  Arms that the folder has not run stay as the study has
    them, if the suite still declares them so: a study grows arm by arm.
    """
    of_runs, of_evaluations, declared = {}, {}, {}
    planned = cells.cells(declaration.read(SUITES / f"{study.name}.toml"))
    found = states.states(planned, folder)
    for cell in planned:
        arm = f"{cell.family}/{'skills/' if cell.kind == 'skills' else ''}{cell.arm}"
        declared[arm] = cell.experiment
        if found[cell.name].state != "done":
            continue
        if cell.kind == "eval":
            document = json.loads((folder / cell.result).read_text())
            way = cell.way or rule(document)
            of_evaluations[f"{arm}/{document['split']}-{document['reward']}-{way}"] = document
        else:
            assert of_runs.setdefault(arm, folder / cell.run) == folder / cell.run, arm
    missing = {arm: experiment for arm, experiment in declared.items() if arm not in of_runs}
    summary, arrays = _kept(study, missing)
    return _gathered(summary, arrays, of_runs, of_evaluations, measures)


def _kept(study: Path, declared: Mapping[str, Experiment]) -> tuple[dict[str, Any], Arrays]:
    """The rows and arrays of a study's data that are of these arms, trained with these settings."""
    summary: dict[str, Any] = {"machines": [], "runs": {}, "protocols": [], "evaluations": {}}
    before, arrays = read(study) if (study / "summary.json").exists() else ({}, {})
    runs, evaluations = before.get("runs", {}), before.get("evaluations", {})
    kept: Arrays = {}
    for arm in (arm for arm in declared if arm in runs):
        config = arrays.get(f"{arm}/config")  # some studies leave those of libraries out
        if config is not None and (different := _changed(declared[arm], config.item().decode())):
            print(f"{arm}: left out, for it was trained with another {different}", file=sys.stderr)
            continue
        kept |= {name: values for name, values in arrays.items() if name.startswith(f"{arm}/")}
        summary["runs"][arm] = _renumbered(runs[arm], "machine", before, summary)
        rows = evaluations.get(arm, {}).items()
        found = {way: _renumbered(row, "protocol", before, summary) for way, row in rows}
        summary["evaluations"] |= {arm: found} if found else {}
    return summary, kept


def _renumbered(row: Document, kind: str, before: Document, now: Document) -> Document:
    """A row with its number in the table of `now` for that in the table of `before`."""
    return row | {kind: _numbered(now[f"{kind}s"], before[f"{kind}s"][str(row[kind])])}


def _numbered(table: list[Document], row: Document) -> int:
    """The number of a row in a table, which it extends."""
    if row not in table:
        table.append(row)
    return table.index(row)


def _changed(experiment: Experiment, config: str) -> str | None:
    """The first setting of training in which a run's configuration, TOML, differs; None where none does."""
    wanted, there = dict(leaves(experiment.model_dump(mode="json"))), dict(leaves(tomllib.loads(config)))
    shared = [key for key in wanted if key in there and key.startswith(TRAINED)]
    compared = (*OF_PARTS, *shared)  # other settings may be younger than the run
    return next((key for key in compared if wanted.get(key) != there.get(key)), None)


def _gathered(
    summary: dict[str, Any],
    arrays: Arrays,
    of_runs: Mapping[str, Path],
    of_evaluations: Mapping[str, Document],
    measures: Sequence[str],
) -> tuple[dict[str, Any], Arrays]:
    """Extend summary and arrays."""
    for arm, run in of_runs.items():
        arrays |= run_arrays(arm, run) | skill_arrays(arm, run)
        summary["runs"][arm] = run_row(run, summary["machines"])
    for key, document in of_evaluations.items():
        arrays |= evaluation_arrays(key, document)
        arm, name = key.rsplit("/", 1)
        rows = summary["evaluations"].setdefault(arm, {})
        rows[name] = evaluation_row(document, summary["protocols"], measures)
    return summary, as_kept(arrays)


def main(
    study: Path,
    collect: Callable[[Path], tuple[dict[str, Any], Arrays]],
    draw: Callable[[Path, dict[str, Any], Arrays], None],
) -> None:
    """Write the data of a study from FOLDER on the command line, if there is one; draw its data's figures."""
    for folder in sys.argv[1:2]:
        write(study, *collect(Path(folder)))
    draw(study, *read(study))
    sizes = {file.name: file.stat().st_size for file in sorted(study.glob("*.svg"))}
    assert len(sizes) <= FIGURES and all(size <= FIGURE for size in sizes.values()), sizes


def write(study: Path, summary: Mapping[str, Any], arrays: Arrays) -> None:
    """Write both files of a study."""
    (study / "summary.json").write_text(_rows(summary))
    # as np.savez_compressed, but packed as well as zip can: all studies together have a limit
    with zipfile.ZipFile(study / "per_task.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, array in as_kept(arrays).items():
            with packed.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asanyarray(array))
    assert (size := (study / "summary.json").stat().st_size) <= SUMMARY, f"summary.json: {size} bytes"


def read(study: Path) -> tuple[dict[str, Any], Arrays]:
    """What `write` wrote."""
    with np.load(study / "per_task.npz") as arrays:
        return json.loads((study / "summary.json").read_text()), dict(arrays)


def _rows(summary: Mapping[str, Any]) -> str:
    """JSON with one line for each row of each table, numbers to six digits and five decimals."""
    tables = []
    for name, table in summary.items():
        if not table:
            continue
        rows = table.items() if isinstance(table, Mapping) else enumerate(table)
        lines = [f"{json.dumps(str(key))}: {_json(row)}" for key, row in rows]
        tables.append(f"{json.dumps(name)}: {{\n " + ",\n ".join(lines) + "\n}")
    return "{\n" + ",\n".join(tables) + "\n}\n"


def _json(row: Any) -> str:
    return json.dumps(_short(row), separators=(",", ":"))


def _short(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_short(one) for one in value]
    return round(float(f"{value:.6g}"), 5) if isinstance(value, float) else value
