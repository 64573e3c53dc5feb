"""The guide that comes with the package: a Markdown file in `hmrl_cli/guide` for each topic."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from hmrl_cli.cli.options import Json
from hmrl_cli.cli.output import print_json, print_table
from hmrl_cli.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

FOLDER = Path(__file__).parent.parent / "guide"


def guide(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="TOPIC", help="The topic to show.", autocompletion=lambda: described()),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the topics of the guide, or show one.

    A terminal gets formatted text, a pipe the Markdown as it is.
    """
    known = topics()
    if topic is None:
        _list_topics(as_json)
        return
    if topic not in known:
        raise ConfigError(
            f"TOPIC: found {shown(topic)}{did_you_mean(topic, known)}\nmust be one of: {', '.join(known)}"
        )
    if as_json:
        print_json({"topic": topic, "text": known[topic]})
    else:
        _print_markdown(known[topic])


def topics() -> dict[str, str]:
    """Name -> Markdown of every topic."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.md"))}


def described() -> list[tuple[str, str]]:
    """Name and description of every topic."""
    return [(name, _description(text)) for name, text in topics().items()]


def _list_topics(as_json: bool) -> None:
    columns = ("topic", "description")
    if as_json:
        print_json({"topics": [dict(zip(columns, row, strict=True)) for row in described()]})
    else:
        print_table(columns, described())


def _description(markdown: str) -> str:
    """The first line below the title."""
    _, _, text = markdown.partition("\n\n")
    return text.partition("\n")[0]


def _print_markdown(text: str) -> None:
    if not sys.stdout.isatty():
        print(text, end="", flush=True)
        return
    from rich.console import Console

    Console().print(_formatted(text))


def _formatted(text: str) -> RenderableType:
    """Markdown for a terminal.  Tables wrap long words and do not cut them."""
    from rich import markdown

    class Table(markdown.TableElement):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for table in super().__rich_console__(console, options):
                for column in getattr(table, "columns", ()):
                    column.overflow = "fold"
                yield table

    class Folding(markdown.Markdown):
        elements: ClassVar = markdown.Markdown.elements | {"table_open": Table}

    # a link's address as text: those between files lead nowhere on a terminal
    return Folding(text, hyperlinks=False)
