"""Comparisons across runs, and pages to look at: tables, curves and paths of skills."""

from __future__ import annotations

import contextlib
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmrl_cli import checkpoints, files
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.schema import Evaluation

MIDDLE = {"return": "iqm", "success": "mean", "reached": "mean"}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .25rem .75rem; text-align: right }
th { border-bottom: 1px solid #999 } td:first-child, th:first-child { text-align: left }
figure { margin: 1.5rem 0 } svg { max-width: 100%; height: auto }
"""


# What runs must share to be compared, and how a message names it.
BUDGET = {
    "family": "its family is",
    "tasks_sha256": "its tasks are",
    "flat": "its reference lines are",
    "steps": "its updates are",
    "episodes": "its episodes are",
}


def evaluations(path: Path) -> list[dict[str, Any]]:
    """The evaluation documents of a run, the test split first, the others by name.

    Raises:
        InputError: one is damaged, or of another checkpoint than the newest of the run.
    """
    documents = []
    newest = _newest(path)
    for file in sorted((path / "eval").glob("*.json")):
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            document = None
        if not _is_evaluation(document):
            raise InputError(f"{file}: is no evaluation of this version; to write it anew: hmrl eval {path}")
        if newest and newest != (document["epoch"], document.get("arrays_sha256", newest[1])):
            split = document["split"]
            tasks = "--tasks FILE" if split.startswith("tasks-") else f"--split {split}"
            raise InputError(
                f"{file}: is of epoch {document['epoch']}, and not of the newest checkpoint, {newest[0]}\n"
                f"to write it anew: hmrl eval {path} {tasks} --reward {document['reward']}"
            )
        documents.append(document)
    return sorted(documents, key=lambda document: document["split"] != "test")


def _newest(path: Path) -> tuple[int, str] | None:
    """Epoch and hash of what `hmrl eval` would evaluate; None where only results were kept."""
    with contextlib.suppress(InputError):
        return checkpoints.fingerprint(path / "checkpoints")
    return None


def _is_evaluation(document: Any) -> bool:
    """Whether a document holds all that is looked at here."""
    try:
        parts = [document[measure][key][-1] for measure in MIDDLE for key in (MIDDLE[measure], "low", "high")]
        return (
            document["schema"] == 1
            and all(isinstance(x, float) for x in parts)
            and {*BUDGET, "env_steps", "epoch"} <= {*document}
        )
    except (KeyError, TypeError, IndexError):
        return False


def compare(run_paths: Sequence[Path]) -> dict[str, Any]:
    """A row for every evaluated run and split: each measure after the last update, with its interval.

    Raises:
        InputError: a run has not been evaluated, or two were not evaluated alike.
    """
    rows: list[dict[str, Any]] = []
    budgets: dict[tuple[str, str], dict[str, Any]] = {}
    for path in run_paths:
        documents = evaluations(path)
        if not documents:
            raise InputError(
                f"{path}: holds no evaluation; must be a run of meta-train, after: hmrl eval {path}"
            )
        for document in documents:
            protocol = (document["split"], document["reward"])
            budget = {name: document[name] for name in BUDGET}
            expected = budgets.setdefault(protocol, budget)
            for name in BUDGET:
                if budget[name] != expected[name]:
                    raise InputError(
                        f"{path}: {'-'.join(protocol)}: {BUDGET[name]} not those of the other runs\n"
                        "must be evaluated alike: family, --tasks, --num-tasks, --adapt-steps, --episodes"
                    )
            rows.append(_row(path, document))
    return {"schema": 1, "rows": rows}


def _row(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    def last(measure: str) -> str:
        middle, low, high = (document[measure][key][-1] for key in (MIDDLE[measure], "low", "high"))
        return f"{middle:.2f} [{low:.2f}, {high:.2f}]"

    fraction = document["fraction"]["iqm"]
    return {
        "run": path.name,
        "split": document["split"],
        "reward": document["reward"],
        "seeds": document["num_seeds"],
        "tasks": document["num_tasks"],
        "updates": document["steps"][-1],
        "episodes": document["episodes"],
        "env_steps": document["env_steps"][-1],
        "flat": round(document["flat"], 2),
        "feasible": round(document["feasible"], 2),
        "before": round(document["return"]["iqm"][0], 2),
        "return": last("return"),
        "fraction": None if fraction is None else round(fraction[-1], 2),
        "success": last("success"),
        "reached": last("reached"),
        "adaptation": _adaptation(document),
    }


def _adaptation(document: dict[str, Any]) -> str:
    """The settings of the evaluation that are not the default ones, or that it is by the run's own update."""
    plain = Evaluation().model_dump()
    settings = document.get("adaptation", {}).items()
    return ", ".join(f"{name} {value}" for name, value in settings if value != plain[name]) or "own update"


def write(run_paths: Sequence[Path], out: Path) -> Path:
    """One page without scripts and without links to elsewhere: table, adaptation curves, paths of skills.

    A name that ends in `.svg` gets the adaptation curves alone.

    Raises:
        ConfigError: the name ends in something else.
        InputError: none of the runs has anything to show.
    """
    if out.suffix not in (".html", ".svg"):
        raise ConfigError(f"-o: found {out.name!r}; must end in .html, or in .svg for the adaptation curves")
    evaluated = [path for path in run_paths if evaluations(path)]
    if out.suffix == ".svg":
        files.write_text(out, curves_svg(evaluated or run_paths))
        return out
    pictures = [path / "skills.svg" for path in run_paths if (path / "skills.svg").is_file()]
    if not evaluated and not pictures:
        raise InputError(f"{run_paths[0]}: holds nothing to report; first: hmrl eval {run_paths[0]}")
    parts = []
    if evaluated:
        parts += [_html_table(compare(evaluated)["rows"]), f"<figure>{curves_svg(evaluated)}</figure>"]
    parts += [
        f"<figure>{file.read_bytes().decode(errors='replace')}<figcaption>skills of "
        f"<code>{html.escape(file.parent.name)}</code></figcaption></figure>"
        for file in pictures
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>hmrl report</title><style>{STYLE}</style><h1>hmrl report</h1>{''.join(parts)}</html>\n"
    )
    files.write_text(out, page)
    return out


def _html_table(rows: Sequence[dict[str, Any]]) -> str:
    def cells(tag: str, values: Any) -> str:
        return "".join(f"<{tag}>{html.escape('' if v is None else str(v))}</{tag}>" for v in values)

    body = "".join(f"<tr>{cells('td', row.values())}</tr>" for row in rows)
    return (
        f"<table><tr>{cells('th', rows[0])}</tr>{body}</table>"
        "<p>After the last update, over seeds and tasks, with 95 % intervals: interquartile mean of the "
        "return, mean of the rates; fraction: of the way from flat to feasible; env_steps: that it learned "
        "from.</p>"
    )


def curves_svg(run_paths: Sequence[Path]) -> str:
    """Return, success and goals ever reached against updates, a column for every split and reward."""
    compare(run_paths)  # only what can be compared goes into one picture
    protocols: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for path in run_paths:
        for document in evaluations(path):
            named = (_plain(path.name), document)
            protocols.setdefault((document["split"], document["reward"]), []).append(named)
    figure, axes = _figure(len(MIDDLE), len(protocols))
    for column, (protocol, documents) in enumerate(protocols.items()):
        for axis, measure in zip(axes[:, column], MIDDLE, strict=True):
            _draw_curves(axis, measure, documents)
            axis.set_ylabel(measure if column == 0 else "")
        axes[0][column].set_title(_plain(" goals, ".join(protocol)) + " reward")
        axes[-1][column].set_xlabel(_updates([document for _, document in documents]))
    axes[0][0].legend(fontsize="small")
    return _svg(figure)


def _plain(text: str) -> str:
    """Text in which no dollar sign begins a formula."""
    return text.replace("$", r"\$")


def _draw_curves(axis: Any, measure: str, documents: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """One measure of several runs, with its intervals, and the reference lines of a return."""
    for name, document in documents:
        line, steps = document[measure], document["steps"]
        (drawn,) = axis.plot(steps, line[MIDDLE[measure]], marker="o", ms=3, label=name)
        axis.fill_between(steps, line["low"], line["high"], alpha=0.2, color=drawn.get_color())
    if measure == "return":
        for level, style in (("flat", ":"), ("feasible", "--")):
            axis.axhline(documents[0][1][level], color="gray", ls=style, lw=1)
    else:
        axis.set_ylim(-0.03, 1.03)
    axis.xaxis.get_major_locator().set_params(integer=True)


def _updates(documents: Sequence[dict[str, Any]]) -> str:
    """What is counted along the curves of some evaluations, and its price where it is the same for all."""
    prices = {document["env_steps"][1] for document in documents if len(document["steps"]) > 1}
    price = prices.pop() if len(prices) == 1 else 0
    return f"updates, of {price:,} environment steps each" if price else "updates"


def paths_svg(paths: Any, of: str) -> str:
    """Paths of skills or draws [seed, which, episode, T + 1, 2] from above: a panel for each seed."""
    figure, axes = _figure(1, len(paths), size=4.5)
    for seed, per_one in enumerate(paths):
        axis = axes[0][seed]
        for which, episodes in enumerate(per_one):
            colour = _colour(which, len(per_one))
            for episode in episodes:
                axis.plot(episode[:, 0], episode[:, 1], color=colour, lw=0.9, alpha=0.8)
            axis.plot(*episodes[:, -1].mean(axis=0), "o", color=colour, ms=5, label=str(which))
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_xlabel("x")
        axis.set_ylabel("y" if seed == 0 else "")
        axis.set_title(of if len(paths) == 1 else f"{of} of seed {seed}")
    if len(paths[0]) <= 20:
        axes[0][-1].legend(fontsize="x-small", ncols=1 + len(paths[0]) // 11)
    return _svg(figure)


def _colour(index: int, count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["hsv"](index / count)


def _figure(rows: int, columns: int, size: float = 3.2) -> Any:
    from matplotlib.figure import Figure  # without pyplot: no state, no display

    figure = Figure(figsize=(max(1.35 * size * columns, 5), size * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _svg(figure: Any) -> str:
    """The figure as an SVG element; equal figures give equal bytes."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "hmrl", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    return text[text.index("<svg") :]
