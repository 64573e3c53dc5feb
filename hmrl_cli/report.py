"""Comparisons across runs, and pages to look at: tables, curves and paths of skills."""

from __future__ import annotations

import contextlib
import html
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli import checkpoints, documents, files
from hmrl_cli.comparison import difference, difference_cells, row, without_nothing
from hmrl_cli.documents import MEASURES, MIDDLE
from hmrl_cli.errors import ConfigError, InputError, one_line
from hmrl_cli.progress import printable
from hmrl_cli.reading import read_bytes, read_json

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
    found = []
    newest = _newest(path)
    for file in sorted((path / "eval").glob("*.json")):
        try:
            document = documents.read(file)
        except InputError as error:
            raise InputError(f"{error}\nto write it anew: hmrl eval {path}") from None
        if newest and newest != (document["epoch"], document["arrays_sha256"] or newest[1]):
            split = document["split"]
            tasks = "--tasks FILE" if split.startswith("tasks-") else f"--split {split}"
            raise InputError(
                f"{file}: is of epoch {document['epoch']}, and not of the newest checkpoint, {newest[0]}\n"
                f"to write it anew: hmrl eval {path} {tasks} --reward {document['reward']}"
            )
        found.append(document)
    return sorted(found, key=lambda document: document["split"] != "test")


def _newest(path: Path) -> tuple[int, str] | None:
    """Epoch and hash of what `hmrl eval` would evaluate; None where only results were kept."""
    with contextlib.suppress(InputError):
        return checkpoints.fingerprint(path / "checkpoints")
    return None


def compare(run_paths: Sequence[Path]) -> dict[str, Any]:
    """A row for every evaluated run and split, and the first run minus each of the others.

    A row has each measure after the last update, with its interval.  A difference is of means over seeds
    and tasks, paired by task, after the last update.  Seeds are paired where two runs stand on the same
    skills row by row.

    Raises:
        InputError: a run has not been evaluated, or two were not evaluated alike.
    """
    runs = [(name, evaluations(path)) for name, path in _named(run_paths)]
    for path, (_, found) in zip(run_paths, runs, strict=True):
        if not found:
            raise InputError(
                f"{path}: holds no evaluation; must be a run of meta-train, after: hmrl eval {path}"
            )
    _check_alike([(path, one) for path, (_, found) in zip(run_paths, runs, strict=True) for one in found])
    (first, ours), libraries = runs[0], [_library(path) for path in run_paths]
    differences = [
        {"run": first, "minus": name, "split": one["split"], "reward": one["reward"]}
        | difference(one, other, same_skills=library is not None and library == libraries[0])
        for (name, theirs), library in zip(runs[1:], libraries[1:], strict=True)
        for one in ours
        for other in theirs
        if _protocol(one) == _protocol(other) and one["per_task"] and other["per_task"]
    ]
    rows = [row(name, document) for name, found in runs for document in found]
    return {"schema": 1, "rows": rows, "differences": differences}


def _protocol(document: Mapping[str, Any]) -> tuple[str, str]:
    """What evaluations must share to be in one table."""
    return document["split"], document["reward"]


def _check_alike(evaluated: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """Refuse documents of one protocol, each with its run, that were not evaluated alike."""
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    for path, document in evaluated:
        expected = first.setdefault(_protocol(document), document)
        for name in BUDGET:
            if document[name] != expected[name]:
                raise InputError(
                    f"{path}: {'-'.join(_protocol(document))}: {BUDGET[name]} not those of the other runs\n"
                    "must be evaluated alike: family, --tasks, --num-tasks, --adapt-steps, --episodes"
                )


def _named(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Every run by its directory's name, or by its path where two have one name."""
    names = [path.resolve().name for path in paths]
    return [
        (name if names.count(name) == 1 else str(path), path) for name, path in zip(names, paths, strict=True)
    ]


def _library(path: Path) -> str | None:
    """Hash of the skills that a run acts through; None where that is not known."""
    file = path / "provenance.json"
    skills = read_json(file).get("skills") if file.is_file() else None
    digest = skills.get("arrays_sha256") if isinstance(skills, dict) else None
    return digest if isinstance(digest, str) else None


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
        parts += [_html_tables(compare(evaluated)), f"<figure>{curves_svg(evaluated)}</figure>"]
    parts += [
        f"<figure>{_picture(file)}<figcaption>skills of "
        f"<code>{html.escape(file.parent.resolve().name)}</code></figcaption></figure>"
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


def _picture(file: Path) -> str:
    return read_bytes(file).decode(errors="replace")


def _html_tables(compared: dict[str, Any]) -> str:
    text = (
        f"{_html_table(without_nothing(compared['rows']))}"
        "<p>After the last update, over seeds and tasks, with 95 % intervals: interquartile mean of the "
        "return, mean of the rates; fraction: of the way from flat, which is doing nothing, to feasible, "
        "paired by task; env_steps: that it learned from.</p>"
    )
    if compared["differences"]:
        text += (
            f"{_html_table([difference_cells(one) for one in compared['differences']])}"
            "<p>Differences of means, paired by task, with 95 % intervals over tasks and seeds; seeds are "
            "paired where both runs stand on the same skills.</p>"
        )
    return text


def _html_table(rows: Sequence[dict[str, Any]]) -> str:
    def cells(tag: str, values: Any) -> str:
        return "".join(
            f"<{tag}>{html.escape('' if v is None else printable(str(v)))}</{tag}>" for v in values
        )

    body = "".join(f"<tr>{cells('td', row.values())}</tr>" for row in rows)
    return f"<table><tr>{cells('th', rows[0])}</tr>{body}</table>"


@contextlib.contextmanager
def _own_style() -> Iterator[None]:
    """Draw by matplotlib's own settings, whatever backend, fonts and style the user has chosen.

    Raises:
        ConfigError: matplotlib cannot start, as where a matplotlibrc is no UTF-8.
    """
    backend = os.environ.pop("MPLBACKEND", "")  # matplotlib cannot be imported where that is not here
    is_new = "matplotlib" not in sys.modules
    try:
        import matplotlib
    except (ValueError, OSError, ImportError) as error:
        raise ConfigError(
            f"matplotlib cannot start: {one_line(error)[:200]}\n"
            "it looks at ./matplotlibrc, MATPLOTLIBRC, MPLCONFIGDIR and the home directory"
        ) from error
    finally:
        if backend:
            os.environ["MPLBACKEND"] = backend
    if is_new and backend:
        with contextlib.suppress(ValueError, ImportError):
            matplotlib.rcParams["backend"] = backend  # for figures of whoever imported this package
    own = {name: value for name, value in matplotlib.rcParamsDefault.items() if "backend" not in name}
    with matplotlib.rc_context(own | {"svg.hashsalt": "hmrl", "svg.fonttype": "path"}):
        yield


@_own_style()
def curves_svg(run_paths: Sequence[Path]) -> str:
    """Return, success and goals ever reached against updates, a column for every split and reward."""
    compare(run_paths)  # only what can be compared goes into one picture
    protocols: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for name, path in _named(run_paths):
        for document in evaluations(path):
            named = (_plain(name), document)
            protocols.setdefault(_protocol(document), []).append(named)
    figure, axes = _figure(len(MEASURES), len(protocols))
    for column, (protocol, shown) in enumerate(protocols.items()):
        for axis, measure in zip(axes[:, column], MEASURES, strict=True):
            _draw_curves(axis, measure, shown)
            axis.set_ylabel(measure if column == 0 else "")
        axes[0][column].set_title(_plain(" goals, ".join(protocol)) + " reward")
        axes[-1][column].set_xlabel(_updates([document for _, document in shown]))
    axes[0][0].legend(fontsize="small")
    return _svg(figure)


def _plain(text: str) -> str:
    """Text that can be drawn, in which no dollar sign begins a formula."""
    return printable(text).replace("$", r"\$")


def _draw_curves(axis: Any, measure: str, evaluated: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """One measure of several runs, with its intervals, and its reference lines."""
    for name, document in evaluated:
        line, steps = document[measure], document["steps"]
        (drawn,) = axis.plot(steps, line[MIDDLE[measure]], marker="o", ms=3, label=name)
        axis.fill_between(steps, line["low"], line["high"], alpha=0.2, color=drawn.get_color())
    lines = {"flat": ":", "feasible": "--"} if measure == "return" else {f"flat_{measure}": ":"}
    for level, style in lines.items():
        if (value := evaluated[0][1][level]) is not None and (measure == "return" or value):
            axis.axhline(value, color="gray", ls=style, lw=1)
    if measure != "return":
        axis.set_ylim(-0.03, 1.03)
    axis.xaxis.get_major_locator().set_params(integer=True)


def _updates(documents: Sequence[dict[str, Any]]) -> str:
    """What is counted along the curves of some evaluations, and its price where it is the same for all."""
    prices = {document["env_steps"][1] for document in documents if len(document["steps"]) > 1}
    price = prices.pop() if len(prices) == 1 else 0
    return f"updates, of {price:,} environment steps each" if price else "updates"


@_own_style()
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
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    return text[text.index("<svg") :]
