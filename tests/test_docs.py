"""README, guide and CONTRIBUTING: complete, right and short."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import hmrl_cli
from hmrl_cli import config
from hmrl_cli.cli import guide, main
from hmrl_cli.config import plugins
from hmrl_cli.errors import HmrlError
from hmrl_cli.experiment import Hierarchy, Training
from hmrl_cli.schema import COMMANDS, Evaluation

ROOT = Path(__file__).parent.parent
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
GUIDE = {page.stem: page for page in sorted(guide.FOLDER.glob("*.md"))}
PAGES = [README, CONTRIBUTING, *GUIDE.values()]
USE = {"skills", "meta-training", "evaluation", "families", "bonuses", "presets", "runs", "suites", "python"}
TOPICS = USE | {"extending", "glossary"}
COMMAND = typer.main.get_command(main.app)
MAX_WORDS = 25  # of a sentence
MAX_CELL = 120  # characters of a table's cell
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of some languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def command_lines(page: Path) -> Iterator[list[str]]:
    """The arguments of every `hmrl ...` in fenced blocks, and of those in running text that have some."""
    for text in blocks(page, "sh", "console"):
        for line in text.replace("\\\n", " ").splitlines():
            for call in re.findall(r"(?:^|\$ |\$\(|exec )hmrl (.*)", line):
                yield shlex.split(re.sub(r"\$\w+", "1", call).partition(" -q)")[0], comments=True)
    for call in re.findall(r"`hmrl ([^`]*)`", prose(page)):
        if " " in call and "..." not in call:
            yield shlex.split(call)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def sentences(page: Path) -> Iterator[str]:
    """Sentences of paragraphs and of list items; a piece of code and a link's text count as they are read."""
    text = re.sub(r"^(#.*|\|.*|<!--.*|!\[.*)$", "", prose(page), flags=re.MULTILINE)
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "code", text)
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", text):
        yield from re.split(r"(?<=[.?!])\s+", " ".join(paragraph.split()))


def parse(arguments: list[str]) -> None:
    """As the command line does, running nothing."""
    context = COMMAND.make_context("hmrl", list(arguments))
    name, command, rest = COMMAND.resolve_command(context, list(arguments))
    command.make_context(name, rest, parent=context)


def table_of(page: Path, header: str) -> list[list[str]]:
    """Rows of the table that begins with this header."""
    rows = page.read_text().partition(f"| {header} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [cells(row) for row in rows]


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.replace("\\|", " ").strip().strip("|").split("|")]


def test_every_topic_has_its_page():
    assert set(GUIDE) == TOPICS


def test_every_command_and_option_is_in_the_guide():
    text = "".join(page.read_text() for page in GUIDE.values())
    for name, command in COMMAND.commands.items():
        assert f"hmrl {name}" in text, name
        for parameter in command.params:
            option = next((flag for flag in parameter.opts if flag.startswith("--")), None)
            assert option in (None, "--help") or {*parameter.opts} & {*re.findall(r"--?[\w-]+", text)}, option


@pytest.mark.parametrize("section", [Hierarchy, Training, Evaluation])
def test_every_setting_that_no_plugin_has_is_in_the_guide(section):
    text = "".join(page.read_text() for page in GUIDE.values())
    for name in section.model_fields:
        assert re.search(rf"\b{name}\b", text) or f"--{name.replace('_', '-')}`" in text, name


def test_every_exit_code_is_in_the_guide():
    codes = {0, 1, 130, *(kind.exit_code for kind in HmrlError.__subclasses__())}
    assert {int(row[0]) for row in table_of(GUIDE["runs"], "Exit code | Meaning")} == codes


@pytest.mark.parametrize(
    ("kind", "topics"),
    [("algorithms", ("skills", "meta-training")), ("bonuses", ("bonuses",)), ("families", ("families",))],
)
def test_every_plugin_is_in_readme_and_guide(kind, topics):
    text = "".join(GUIDE[topic].read_text() for topic in topics)
    for name in plugins.names(kind):
        assert f"| `{name}`" in text or f", `{name}` |" in text, name
        assert f"`{name}`" in README.read_text(), name


@each_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as they are made for Markdown."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_paths_in_the_repository_exist(page):
    for path in re.findall(r"`((?:hmrl_cli|experiments|tests)/[\w./@-]*)`", page.read_text()):
        assert "NAME" in path or (ROOT / path).exists(), path


@each_page
def test_command_lines_are_right(page):
    """They parse; presets and settings exist, and so do topics of the guide."""
    assert {*re.findall(r"`hmrl ([a-z][a-z-]*)", prose(page))} <= {*COMMAND.commands}
    for arguments in command_lines(page):
        try:
            parse(arguments)
            check_settings(arguments)
        except Exception as error:
            raise AssertionError(f"hmrl {shlex.join(arguments)}: {error}") from error


def check_settings(arguments: list[str]) -> None:
    name, *rest = arguments
    if name in COMMANDS and rest and "PRESET" not in rest[0] and not rest[0].endswith(".toml"):
        sets = [line for flag, line in itertools.pairwise(rest) if flag == "--set"]
        if "NAME" not in "".join(sets):
            config.resolve(name, rest[0], sets, complete=False)
    if name == "guide" and rest and rest[0] != "TOPIC":
        assert rest[0] in GUIDE


def test_the_command_lines_are_found():
    found = [arguments for page in PAGES for arguments in command_lines(page)]
    assert {arguments[0] for arguments in found if arguments} >= {*COMMAND.commands}
    assert ["pretrain-skills", "wheeled/vgcrl"] in found  # Z=$(hmrl ... -q)
    assert ["guide", "runs"] in found


@pytest.mark.parametrize("wrong", ["evil RUN", "eval RUN --spilt test", "eval", "list a b c"])
def test_a_wrong_command_line_is_seen(wrong):
    with pytest.raises(Exception, match=r"No such|Missing parameter|unexpected extra"):
        parse(shlex.split(wrong))


def test_cheap_command_lines_run(capsys):
    lines = {tuple(arguments) for page in PAGES for arguments in command_lines(page)}
    cheap = sorted(
        line
        for line in lines
        if line and line[0] in ("list", "show", "guide") and not re.search(r"[A-Z]{3}|--json", " ".join(line))
    )
    assert len(cheap) >= 10
    for line in cheap:
        assert main.run(line) == 0, line
        assert capsys.readouterr().out, line


def test_python_blocks_use_what_there_is():
    text = "".join(block for page in PAGES for block in blocks(page, "python"))
    compile(text, "README", "exec")
    used = {*re.findall(r"hmrl_cli\.(\w+)", text)}
    assert used and used <= {*hmrl_cli.__all__}
    rows = table_of(GUIDE["python"], "Function | Command | Returns")
    assert {row[0].strip("`").partition("(")[0] for row in rows} == {*hmrl_cli.__all__} - {"__version__"}


@each_page
def test_sentences_are_short(page):
    long = [sentence for sentence in sentences(page) if len(sentence.split()) > MAX_WORDS]
    assert long == []


def test_a_long_sentence_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\nShort. " + "a [b](c) `d e f` " * 11 + "end.\n\n| " + "cell " * 40 + "|\n- item\n- item"
    )
    assert [len(sentence.split()) for sentence in sentences(page) if sentence] == [1, 34, 2, 2]


def test_the_glossary_defines_each_term_once_and_every_number_of_an_evaluation():
    terms = re.findall(r"^- \*\*(.+?)\*\*: ", GUIDE["glossary"].read_text(), re.MULTILINE)
    assert len({*terms}) == len(terms)
    numbers = {row[0].strip("`").capitalize() for row in table_of(GUIDE["evaluation"], "Number | Meaning")}
    assert {number for number in numbers if "_" not in number} <= {*terms}


@each_page
def test_cells_of_tables_are_short(page):
    rows = [row for row in page.read_text().splitlines() if row.startswith("|")]
    assert [cell for row in rows for cell in cells(row) if len(cell) > MAX_CELL] == []


def test_readme_is_short():
    assert len(README.read_text().split()) <= 1200
    assert len(README.read_bytes()) <= 9000


def test_results_in_the_readme_are_short():
    rows = table_of(README, "Question | Answer | Data")
    assert 0 < len(rows) <= 10
    for question, answer, data in rows:
        assert question.endswith("?") and len(answer.split()) <= 15 and "experiments/" in data, answer


@pytest.mark.parametrize("page", GUIDE.values(), ids=GUIDE)
def test_a_page_begins_with_its_title_and_what_it_is_about(page):
    title, empty, about, *_ = page.read_text().splitlines()
    assert re.fullmatch(r"# [A-Z].*", title) and empty == ""
    assert about.endswith(".") and len(about) <= 100


def test_optional_libraries_come_with_a_checkout():
    """The package is on no index."""
    sources = Path(hmrl_cli.__file__).parent.rglob("*.py")
    assert not [str(file) for file in (*PAGES, *sources) if "hmrl[" in file.read_text()]
