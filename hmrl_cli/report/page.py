"""One page on runs: what was found, tables, curves, paths of skills, settings and where it is from."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.errors import ConfigError, printable
from hmrl_cli.reading import read_bytes
from hmrl_cli.report import arms, differences, findings
from hmrl_cli.report.arms import Arm, by_family
from hmrl_cli.report.comparison import BUDGET, compared, none_there, read_arms
from hmrl_cli.report.figures import curves_svg, training_svg
from hmrl_cli.report.formats import csv_text
from hmrl_cli.report.style import STYLE
from hmrl_cli.storage import files, reader
from hmrl_cli.storage.metrics import read_metrics

FIRST = ("run", "split", "success", "reached", "return", "fraction")  # columns, from the left
LINES = ("flat", "feasible")
IN_CSV = ("flat_success", "flat_reached", "before")  # columns that make the table too wide for a screen
MAX_PICTURE = 2**20  # bytes of all pictures of skills, so that a page stays small
ROWS_NOTE = (
    "After the last update, over seeds and tasks, with 95 % intervals: mean of the rates, interquartile mean "
    "of the return. fraction: of the way from flat, which is doing nothing, to feasible, which is a scripted "
    "controller, paired by task. env_steps: that it learned from."
)
DIFFERENCES_NOTE = (
    "Differences of means, paired by task, with 95 % intervals over tasks and seeds. Seeds are paired where "
    "both runs stand on the same skills."
)


def write(runs: Sequence[Path | reader.Info], out: Path, protocol: str | None = None) -> Path:
    """Write one page without scripts and without links to elsewhere; each file of a run is read once.

    Args:
        runs: the run directories, or what `reader.read` returns of them.
        out: the file; a name that ends in `.svg` gets the adaptation curves alone.
        protocol: which evaluations; None: those by the runs' own settings.

    Raises:
        ConfigError: the name ends in something else.
        InputError: none of the runs has anything to show, or the runs cannot be compared.
        StorageError: the page cannot be written.
    """
    if out.suffix not in (".html", ".svg"):
        raise ConfigError(f"-o: found {out.name!r}; must end in .html, or in .svg for the adaptation curves")
    return write_arms(read_arms(runs, protocol=protocol), out, protocol)


def write_arms(
    read: Sequence[Arm], out: Path, protocol: str | None = None, alike: Mapping[str, str] = BUDGET
) -> Path:
    """Write the page of arms that were read; raises as `write`, and `alike` is as in `compared`."""
    evaluated = [run for run in read if run.documents]
    found = None
    if evaluated or out.suffix == ".svg":
        found = compared(evaluated or read, protocol=protocol, alike=alike)
    text = _page(read, evaluated, found, protocol) if out.suffix == ".html" else curves_svg(evaluated)
    files.write_text(out, text)
    return out


def _page(
    runs: Sequence[Arm], evaluated: Sequence[Arm], found: Mapping[str, Any] | None, protocol: str | None
) -> str:
    trained = [(run, metrics) for run in runs if (metrics := _metrics(run))]
    pictures = [(run, file) for run in runs if (file := run.paths[0] / "skills.svg").is_file()]
    if not evaluated and not trained and not pictures:
        raise none_there(runs[0].paths[0], protocol)
    parts = [_evaluations(evaluated, found)] if found else []
    drawn = [run for run, _ in pictures]
    parts += [_waiting(run) for run in runs if not run.documents and run not in drawn]
    parts += [_training(trained), _skills(pictures), _settings(evaluated), _origins(runs)]
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<title>hmrl report</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><style>{STYLE}</style></head>'
        f"<body><main><h1>hmrl report</h1>{''.join(parts)}</main></body></html>\n"
    )


def _metrics(run: Arm) -> list[dict[str, Any]]:
    """The metrics of a run's training; none of a run of which only results were kept."""
    path = run.paths[0]
    return read_metrics(path) if (path / "metrics.jsonl").is_file() else []


def _escaped(value: Any) -> str:
    return html.escape("" if value is None else printable(str(value)))


def _waiting(run: Arm) -> str:
    name, path = _escaped(run.name), _escaped(run.paths[0])
    return f"<p><small>{name} was not evaluated; to do it: <code>hmrl eval {path}</code></small></p>"


def _evaluations(evaluated: Sequence[Arm], found: Mapping[str, Any]) -> str:
    """What was found, and for each family its tables and curves."""
    families = by_family(evaluated)
    parts = [f'<p class="finding">{_escaped(text)}</p>' for text in _findings(families, found)]
    if found["aggregate"]:
        cells = [differences.aggregate_cells(row) for row in found["aggregate"]]
        parts += [f"<h2>Mean over {len(families)} families</h2>", _table(cells, "Means over families")]
    for family, members in families.items():
        rows = [row for row in found["rows"] if row["family"] == family]
        minus = [differences.difference_cells(one) for one in found["differences"] if one["family"] == family]
        parts += [f"<h2>Adaptation to new tasks of {_escaped(family)}</h2>", _rows(rows)]
        if minus:
            first = (next(iter(minus[0])), *FIRST)
            parts += [_narrow(minus, first, f"Differences on {family}")]
            parts += [f"<p><small>{DIFFERENCES_NOTE}</small></p>"]
        names = ", ".join(arm.name for arm in members)
        label = f"Return, success and goals reached against updates on {family}, of {names}"
        caption = (
            "Thick: over all seeds, with 95 % intervals. Thin: each seed. flat: doing nothing. feasible: a "
            "scripted controller that knows the goal."
        )
        parts.append(_figure(curves_svg(members), label, caption, f"c{len(parts)}"))
    data = base64.b64encode(csv_text(found["rows"]).encode()).decode()
    link = f'<a download="hmrl-report.csv" href="data:text/csv;base64,{data}">The numbers as CSV</a>'
    return "".join(parts) + f'<p class="screen">{link}</p>'


def _findings(families: Mapping[str, Sequence[Arm]], found: Mapping[str, Any]) -> list[str]:
    over = [findings.mean_finding(found["aggregate"])] if found["aggregate"] else []
    return over + [findings.finding(members) for members in families.values()]


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of a family; columns of one value are a text below, and so are the ways to adapt."""
    cells = [{key: value for key, value in row.items() if key not in ("family", *IN_CSV)} for row in rows]
    cells = differences.without_nothing(cells)
    ways = dict.fromkeys((row["run"], row["adaptation"]) for row in cells)
    listed = ""
    if len({way for _, way in ways}) > 1:
        listed = "".join(f"<li>{_escaped(name)}: {_escaped(way)}</li>" for name, way in ways)
        cells = [{key: value for key, value in row.items() if key != "adaptation"} for row in cells]
    return (
        _narrow(cells, (*FIRST, *(LINES if len(cells) == 1 else ())), "Results of each run")
        + (f'<p><small>Ways to adapt:</small></p><ul class="note">{listed}</ul>' if listed else "")
        + f"<p><small>{ROWS_NOTE}</small></p>"
    )


def _narrow(rows: Sequence[Mapping[str, Any]], first: Sequence[str], label: str) -> str:
    """A table that begins with some columns; others that are the same in all rows are a text below."""
    constant = [key for key in rows[0] if key not in first and len({str(row[key]) for row in rows}) == 1]
    columns = [key for key in dict.fromkeys((*first, *rows[0])) if key in rows[0] and key not in constant]
    same = ", ".join(f"{key} {rows[0][key]}" for key in constant)
    note = f"<p><small>In every row: {_escaped(same)}.</small></p>" if same else ""
    return _table([{key: row[key] for key in columns} for row in rows], label) + note


def _table(rows: Sequence[Mapping[str, Any]], label: str, kind: str = "") -> str:
    """A table in a box of its own, which scrolls where it is wider than the page."""

    def cells(tag: str, values: Any) -> str:
        return "".join(f"<{tag}>{_escaped(value)}</{tag}>" for value in values)

    head = f"<thead><tr>{cells('th', rows[0])}</tr></thead>"
    body = "".join(f"<tr>{cells('td', row.values())}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{_escaped(label)}">'
        f'<table class="{kind}">{head}<tbody>{body}</tbody></table></div>'
    )


def _figure(svg: str, label: str, caption: str, prefix: str) -> str:
    """A figure in a box of its own, in the colours of the page; `prefix` sets its ids apart."""
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{_escaped(label)}" ', 1)
    return (
        f'<figure><div class="scroll" role="region" tabindex="0" aria-label="{_escaped(label)}">{svg}</div>'
        f"<figcaption>{_escaped(caption)}</figcaption></figure>"
    )


def _training(trained: Sequence[tuple[Arm, list[dict[str, Any]]]]) -> str:
    """Curves of training: a figure of the runs that earn returns, and one of the runs that learn skills."""
    if not trained:
        return ""
    kinds: dict[bool, dict[str, list[dict[str, Any]]]] = {}
    for run, metrics in trained:
        earns = any(key.startswith(("return", "success")) for key in metrics[-1])
        name = run.name if len(by_family([one for one, _ in trained])) == 1 else f"{run.family}: {run.name}"
        kinds.setdefault(earns, {})[name] = metrics
    figures = [
        _figure(
            training_svg(named),
            f"Metrics of training against environment steps, of {', '.join(named)}",
            "Thick: mean over seeds. Thin: each seed.",
            f"t{number}",
        )
        for number, named in enumerate(kinds.values())
    ]
    return f"<h2>Training</h2>{''.join(figures)}"


def _skills(pictures: Sequence[tuple[Arm, Path]]) -> str:
    """Pictures of skills, as many as a page has room for."""
    figures, room = [], MAX_PICTURE
    for number, (run, file) in enumerate(pictures):
        room -= file.stat().st_size
        name = f"Skills of {run.name}"
        if room < 0:
            figures.append(f"<p><small>{_escaped(name)}: <code>{_escaped(file)}</code></small></p>")
        else:
            figures.append(_figure(read_bytes(file).decode(errors="replace"), name, name, f"s{number}"))
    return f"<h2>Skills</h2>{''.join(figures)}" if figures else ""


def _settings(runs: Sequence[Arm]) -> str:
    """A table of the settings that differ between the runs of a family."""
    parts = []
    for family, members in by_family(runs).items():
        differing = arms.differences_of_settings(members)
        if differing:
            rows = [
                {"setting": key} | {arm.name: arm.settings.get(key, "none") for arm in members}
                for key in differing
            ]
            parts.append(_table(rows, f"Settings that differ on {family}", "text"))
    return f"<details><summary>Settings that differ</summary>{''.join(parts)}</details>" if parts else ""


def _origins(runs: Sequence[Arm]) -> str:
    """A table of where each run is from."""
    rows = [
        {
            "run": run.name,
            "folder": run.paths[0],
            "algorithm": run.settings["algorithm.name"],
            "seeds": ", ".join(map(str, run.seeds)),
            "created": run.provenance.get("created"),
            "hmrl": (run.provenance.get("versions") or {}).get("hmrl"),
            "commit": run.provenance.get("git"),
        }
        for run in runs
    ]
    return f"<h2>Runs</h2>{_table(rows, 'Where each run is from', 'text')}"
