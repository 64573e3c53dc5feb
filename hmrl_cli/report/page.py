"""One page on runs: what was found, an overview, each family, training, skills, settings and provenance."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.errors import ConfigError, typed
from hmrl_cli.lazy import np
from hmrl_cli.report import (
    arms,
    differences,
    findings,
    folder,
    maps,
    overview,
    profiles,
    provenance,
    skills,
    viewer,
)
from hmrl_cli.report.arms import Arm, by_family
from hmrl_cli.report.comparison import compared, none_there, read_arms
from hmrl_cli.report.elements import (
    Drawing,
    anchor,
    contents,
    drawn,
    escaped,
    figure,
    narrow,
    note,
    section,
    table,
)
from hmrl_cli.report.figures import curves, curves_svg, training
from hmrl_cli.report.formats import csv_text
from hmrl_cli.report.style import STYLE
from hmrl_cli.storage import files, layout, reader
from hmrl_cli.storage.metrics import read_metrics

# columns, from the left
FIRST = ("run", "unfinished", "split", "success", "mean_success", "reached", "return", "fraction")
MAX_BYTES = 9 * 2**19  # of a page, 4.5 MiB
LONG = 6000  # characters of a table of settings that is folded
LINES = ("flat", "feasible")
IN_CSV = ("flat_success", "flat_reached", "before")  # columns that make the table too wide for a screen
ROWS_NOTE = (
    "After the last update, over seeds and tasks, with 95 % intervals: mean of the rates, interquartile mean "
    "of the return. fraction: of the way from flat, which is doing nothing, to feasible, which is a scripted "
    "controller, paired by task. env_steps: that it learned from."
)
DIFFERENCES_NOTE = (
    "Differences of means, paired by task, with 95 % intervals over tasks and seeds. Seeds are paired where "
    "both runs stand on the same skills."
)
CURVES = (
    "Thick: over all seeds, with 95 % intervals; thin: each seed; flat: doing nothing; "
    "feasible: a scripted controller that knows the goal."
)
TRAINING = "thick: mean over seeds; thin: each seed."


def write(
    runs: Sequence[Path | reader.Info],
    out: Path,
    protocol: str | None = None,
    group: str | None = None,
    figures: Path | None = None,
) -> Path:
    """Write one page without links to elsewhere; each file of a run is read once.

    Args:
        runs: the run directories, or what `reader.read` returns of them.
        out: the file; a name that ends in `.svg` gets the adaptation curves alone.
        protocol: which evaluations; None: those by the runs' own settings.
        group: dotted path of a setting; runs that differ only in the seed are pooled, see `compare`.
        figures: a folder for the figures as SVG and PDF and the numbers as CSV; None writes none.

    Raises:
        ConfigError: the name ends in something else, or no run has the setting `group`.
        InputError: none of the runs has anything to show, or the runs cannot be compared.
        StorageError: the page cannot be written.
    """
    if out.suffix not in (".html", ".svg"):
        raise ConfigError(f"-o: found {out.name!r}; must end in .html, or in .svg for the adaptation curves")
    infos = [run if isinstance(run, reader.Info) else reader.read(run) for run in runs]
    return write_arms(read_arms(infos, group, protocol), out, infos, protocol, group, figures=figures)


def write_arms(
    read: Sequence[Arm],
    out: Path,
    infos: Sequence[reader.Info] | None = None,
    protocol: str | None = None,
    group: str | None = None,
    *,
    of_suite: bool = False,
    figures: Path | None = None,
) -> Path:
    """Write the page of arms that were read; raises as `write`.

    Args:
        read: the arms.
        out, protocol, group, figures: see `write`.
        of_suite: see `compared`.
        infos: what `reader.read` returns of their runs; None reads them.
    """
    if infos is None:
        infos = [reader.read(path, code=False) for arm in read for path in arm.paths]
    evaluated = [run for run in read if run.documents]
    found = None
    if evaluated or out.suffix == ".svg":
        found = compared(evaluated or read, group, protocol, of_suite=of_suite)
    if out.suffix == ".svg":
        files.write_text(out, curves_svg(evaluated))
        return out
    trained = [(run, metrics) for run in read if (metrics := _metrics(run))]
    with_skills = skills.skills_of(read)
    if not evaluated and not trained and not with_skills:
        raise none_there([read[0].paths[0]], protocol)
    comparisons = profiles.compared(by_family(evaluated)) if evaluated else []
    drawings = _drawings(evaluated, found, comparisons, trained)
    parts = _results(evaluated, found, drawings) if found else []
    parts += [_training(drawings, [run for run in read if run not in evaluated], with_skills)]
    after = [section("Settings that differ", _settings(evaluated))]
    after += [section("Provenance", provenance.part(read, infos))]
    top = _headed(evaluated, found)
    room = MAX_BYTES - len(_page(top, parts + after).encode())
    of_skills = section("Skills", skills.part(with_skills, room))
    files.write_text(out, _page(top, [*parts, of_skills, *after]))
    if figures is not None:
        folder.write(figures, list(drawings.values()), _numbers(found, comparisons) if found else {})
    return out


def _page(top: str, parts: Sequence[str]) -> str:
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src {viewer.script_source()}; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<title>hmrl report</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><style>{STYLE}</style></head>'
        f"<body><main><h1>hmrl report</h1>{top}{contents(parts)}{''.join(parts)}</main></body></html>\n"
    )


def _metrics(arm: Arm) -> list[dict[str, Any]]:
    """The training metrics of all seeds; none for a run of which only results were kept."""
    found = [read_metrics(path) for path in arm.paths if (path / layout.METRICS).is_file()]
    if len(found) < 2:
        return found[0] if found else []
    return [
        {"epoch": epoch[0]["epoch"], "env_steps": epoch[0].get("env_steps")}
        | {
            key: np.concatenate([np.atleast_1d(one[key]) for one in epoch])
            for key in epoch[0]
            if key not in ("epoch", "env_steps") and all(key in one for one in epoch)
        }
        for epoch in zip(*found, strict=False)
    ]


def _drawings(
    evaluated: Sequence[Arm],
    found: Mapping[str, Any] | None,
    comparisons: Sequence[profiles.Compared],
    trained: Sequence[tuple[Arm, list[dict[str, Any]]]],
) -> dict[str, Drawing]:
    """All figures of the page by their names."""
    names = [arm.name for arm in evaluated]
    families = by_family(evaluated)
    drawings = []
    if found and len(families) > 1:
        rows = overview.rows(families, found["aggregate"])
        drawings.append(drawn("overview", *overview.TEXTS, overview.dots, rows, names))
    if comparisons:
        drawings.append(drawn("profiles", *profiles.TEXTS, profiles.profiles, comparisons, names))
    for family, members in families.items():
        of = ", ".join(arm.name for arm in members)
        label = f"Return, success and goals reached against episodes on {family}, of {of}"
        drawings.append(drawn(f"curves-{anchor(family)}", label, CURVES, curves, members, names))
        if recorded := maps.recorded(members):
            label = f"Where {', '.join(recorded)} explored {family}"
            name = f"explored-{anchor(family)}"
            drawings.append(drawn(name, label, maps.CAPTION, maps.explored, recorded))
    kinds = _by_kind(trained)
    for number, ((family, reward), named) in enumerate(kinds.items(), start=1):
        several = reward and len({one for _, one in kinds} - {""}) > 1
        on = f"{family}, {reward} reward" if several else family
        label = f"Metrics of training on {on} against environment steps, of {', '.join(named)}"
        caption = f"Training on {on}; {TRAINING}"
        drawings.append(drawn(f"training-{number}", label, caption, training, named, names))
    return {one.name: one for one in drawings}


def _by_kind(
    trained: Sequence[tuple[Arm, list[dict[str, Any]]]],
) -> dict[tuple[str, str], dict[str, list[dict[str, Any]]]]:
    """Metrics by name, for each family and reward; the reward is "" for runs that learn skills."""
    kinds: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
    for arm, metrics in trained:
        earns = any(key.startswith(("return", "success")) for key in metrics[-1])
        reward = str(arm.settings["family.reward"]) if earns else ""
        kinds.setdefault((arm.family, reward), {})[arm.name] = metrics
    return kinds


def _headed(evaluated: Sequence[Arm], found: Mapping[str, Any] | None) -> str:
    """The finding over all families, or else the finding of each family."""
    if not found:
        return ""
    families = by_family(evaluated)
    over = [findings.mean_finding(found["aggregate"], evaluated)] if found["aggregate"] else []
    texts = over or [findings.finding(members) for members in families.values()]
    return "".join(f'<p class="finding">{escaped(text)}</p>' for text in texts)


def _results(
    evaluated: Sequence[Arm], found: Mapping[str, Any], drawings: Mapping[str, Drawing]
) -> list[str]:
    """The overview, the profiles, and for each family its tables and figures."""
    families = by_family(evaluated)
    several = len(families) > 1
    data = base64.b64encode(csv_text(found["rows"]).encode()).decode()
    link = f'<a download="hmrl-report.csv" href="data:text/csv;base64,{data}">The numbers as CSV</a>'
    profile = (
        [section("Performance profiles", figure(drawings["profiles"]))] if "profiles" in drawings else []
    )
    parts = [_overview(families, found, drawings), *profile] if several else []
    for family, members in families.items():
        told = f'<p class="told">{escaped(findings.finding(members))}</p>' if found["aggregate"] else ""
        title = f"Adaptation to new tasks of {family}"
        parts.append(section(title, told, *_family(family, members, found, drawings)))
    return [*parts, f'<p class="screen">{link}</p>', *([] if several else profile)]


def _overview(
    families: Mapping[str, Sequence[Arm]], found: Mapping[str, Any], drawings: Mapping[str, Drawing]
) -> str:
    rows = differences.without_nothing(overview.rows(families, found["aggregate"]))
    return section(
        f"Success in {len(families)} families",
        figure(drawings["overview"]),
        narrow(rows, ("run", "split", *families), "Success in every family, and means over families"),
    )


def _family(
    family: str, members: Sequence[Arm], found: Mapping[str, Any], drawings: Mapping[str, Drawing]
) -> list[str]:
    """Curves, tables, and where each arm explored."""
    rows = [row for row in found["rows"] if row["family"] == family]
    minus = [one for one in found["differences"] if one["family"] == family]
    parts = [_rows(rows), figure(drawings[f"curves-{anchor(family)}"])]
    for arm in dict.fromkeys(one["run"] for one in minus):
        cells = [differences.difference_cells(one) for one in minus if one["run"] == arm]
        parts.append(narrow(cells, (f"{arm} minus", *FIRST), f"Differences on {family}"))
    parts += [note(DIFFERENCES_NOTE)] if minus else []
    name = f"explored-{anchor(family)}"
    parts += [f"<h3>Where each arm explored {escaped(family)}</h3>"]
    parts += [figure(drawings[name])] if name in drawings else []
    return parts + [note(text) for text in maps.missing(members)]


def _numbers(
    found: Mapping[str, Any], comparisons: Sequence[profiles.Compared]
) -> dict[str, list[dict[str, Any]]]:
    """Tables by the names of their files."""
    return {
        "results": found["rows"],
        "differences": found["differences"],
        "means-over-families": found["aggregate"],
        "improvement": profiles.improvement_rows(comparisons),
        "profiles": profiles.profile_rows(comparisons),
    }


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of a family.  Columns with a single value, and the ways to adapt, become text below it."""
    cells = [{key: value for key, value in row.items() if key not in ("family", *IN_CSV)} for row in rows]
    cells = differences.without_nothing(cells)
    ways: dict[tuple[str, str], dict[str, None]] = {}
    for row in cells:
        ways.setdefault((row["run"], row["adaptation"]), {})[row["reward"]] = None
    listed = ""
    if len({way for _, way in ways}) > 1:
        several = len({name for name, _ in ways}) < len(ways)
        texts = [
            f"{name} ({', '.join(rewards)} reward): {way}" if several else f"{name}: {way}"
            for (name, way), rewards in ways.items()
        ]
        listed = "".join(f"<li>{escaped(text)}</li>" for text in texts)
        cells = [{key: value for key, value in row.items() if key != "adaptation"} for row in cells]
    lines = ""
    if len(cells) > 1:
        lines = _reference_lines(cells)
        cells = [{key: value for key, value in row.items() if key not in LINES} for row in cells]
    return (
        narrow(cells, (*FIRST, *LINES), "Results of each run")
        + lines
        + (f'<p><small>Ways to adapt:</small></p><ul class="note">{listed}</ul>' if listed else "")
        + note(ROWS_NOTE)
    )


def _reference_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """The returns of doing nothing and of the scripted controller, once for each kind of tasks."""
    kinds: dict[str, dict[str, None]] = {}
    for row in rows:
        text = ", ".join(f"{name} {row[name]}" for name in LINES if row.get(name) not in (None, ""))
        if text:
            kinds.setdefault(text, {})[f"{row['split']}, {row['reward']}"] = None
    texts = [f"{' and '.join(kind)}: {text}" for text, kind in kinds.items()]
    return note(f"Returns without learning: {'; '.join(texts)}.") if texts else ""


def _training(
    drawings: Mapping[str, Drawing], waiting: Sequence[Arm], with_skills: Sequence[tuple[str, Path]]
) -> str:
    """Curves of training, and hints on runs that were not evaluated, except runs of skills."""
    paths = [path for _, path in with_skills]
    hints = [
        f"<p><small>{escaped(run.name)} was not evaluated; to do it: "
        f"<code>hmrl eval {escaped(typed(run.paths[0]))}</code></small></p>"
        for run in waiting
        if run.paths[0] not in paths
    ]
    figures = [figure(one) for name, one in drawings.items() if name.startswith("training-")]
    return section("Training", *hints, *figures)


def _settings(runs: Sequence[Arm]) -> str:
    """A table of the settings that differ between the runs of each family."""
    parts = []
    for family, members in by_family(runs).items():
        if differing := arms.differences_of_settings(members):
            rows = [
                {f"{family}: setting": key} | {arm.name: arm.settings.get(key, "none") for arm in members}
                for key in differing
            ]
            parts.append(table(rows, f"Settings that differ on {family}", "text"))
    rows_of = "".join(parts)
    return f"<details><summary>The table</summary>{rows_of}</details>" if len(rows_of) > LONG else rows_of
