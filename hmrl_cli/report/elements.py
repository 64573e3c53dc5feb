"""Elements of a page: escaped text, tables and figures."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from hmrl_cli.errors import printable
from hmrl_cli.report import drawing


class Drawing(NamedTuple):
    """A figure of a page, which can be a file as well."""

    name: str  # of the file, without suffix
    label: str  # for who cannot see it
    caption: str
    svg: str
    pdf: Callable[[], bytes]


def drawn(name: str, label: str, caption: str, draw: Callable[..., Any], *data: Any) -> Drawing:
    """What `draw` makes of the data."""
    return Drawing(
        name, label, caption, drawing.short(drawing.svg(draw, *data)), partial(drawing.pdf, draw, *data)
    )


def escaped(value: Any) -> str:
    """Text in HTML."""
    return html.escape("" if value is None else printable(str(value)))


def note(text: str) -> str:
    """A paragraph in small letters."""
    return f"<p><small>{escaped(text)}</small></p>"


def narrow(rows: Sequence[Mapping[str, Any]], first: Sequence[str], label: str, kind: str = "") -> str:
    """A table that begins with some columns; others that are the same in all rows are a text below."""
    constant = [key for key in rows[0] if key not in first and len({str(row[key]) for row in rows}) == 1]
    columns = [key for key in dict.fromkeys((*first, *rows[0])) if key in rows[0] and key not in constant]
    same = ", ".join(f"{key} {rows[0][key]}" for key in constant if rows[0][key] not in (None, ""))
    below = note(f"In every row: {same}.") if same else ""
    return table([{key: row[key] for key in columns} for row in rows], label, kind) + below


def table(rows: Sequence[Mapping[str, Any]], label: str, kind: str = "") -> str:
    """A table in a box of its own, which scrolls where it is wider than the page."""

    def cells(tag: str, values: Any) -> str:
        return "".join(f"<{tag}>{escaped(value)}</{tag}>" for value in values)

    head = f"<thead><tr>{cells('th', rows[0])}</tr></thead>"
    body = "".join(f"<tr>{cells('td', row.values())}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(label)}">'
        f'<table class="{kind}">{head}<tbody>{body}</tbody></table></div>'
    )


def figure(one: Drawing) -> str:
    """A figure in a box of its own, in the colours of the page; its name sets its ids apart."""
    return picture(one.svg, one.label, one.caption, one.name)


def picture(svg: str, label: str, caption: str, prefix: str) -> str:
    """An SVG in a box of its own; `prefix` sets its ids apart from those of others."""
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{anchor(prefix)}-", svg)
    svg = svg.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escaped(label)}" ', 1)
    return (
        f'<figure><div class="scroll" role="region" tabindex="0" aria-label="{escaped(label)}">{svg}</div>'
        f"<figcaption>{escaped(caption)}</figcaption></figure>"
    )


def section(title: str, *parts: str) -> str:
    """A part of the page with a title; nothing where it has no content."""
    content = "".join(parts)
    return f'<section id="{anchor(title)}"><h2>{escaped(title)}</h2>{content}</section>' if content else ""


def anchor(title: str) -> str:
    """The id of a section."""
    return re.sub(r"\W+", "-", title).strip("-").lower()


def contents(parts: Sequence[str]) -> str:
    """Links to the sections among the parts; nothing where there are few."""
    titles = [re.match(r'<section id="(.*?)"><h2>(.*?)</h2>', part) for part in parts]
    links = [f'<li><a href="#{found[1]}">{found[2]}</a></li>' for found in titles if found]
    return f'<nav aria-label="Sections" class="screen"><ul>{"".join(links)}</ul></nav>' if links[2:] else ""
