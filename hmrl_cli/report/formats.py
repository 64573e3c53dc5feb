"""Results as CSV, as LaTeX and as values of JSON."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hmrl_cli.errors import printable

UNSHOWN = ("numbers", "paths")  # keys of a row that are no columns of a table
ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
NUMBERS = re.compile(r"[+-]?[\d.]+(?:e[+-]?\d+)?( \[-?[\d.]+, -?[\d.]+\])?")  # with an interval, or without


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of `compare` as CSV, with a line of headers.

    A number with an interval has three columns, such as `success`, `success_low` and `success_high`.
    """
    flat = [_plain(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(dict.fromkeys(key for row in flat for key in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the numbers in place of their text."""
    numbers = row.get("numbers", {})
    found: dict[str, Any] = {}
    for key, text in row.items():
        value = numbers.get(key, text)
        if key in UNSHOWN:
            continue
        if isinstance(value, Mapping):
            middle = next(value[name] for name in value if name not in ("low", "high"))
            found |= {key: middle, f"{key}_low": value["low"], f"{key}_high": value["high"]}
        else:
            found[key] = printable(value) if isinstance(value, str) else value
    return found


def latex(title: str, rows: Sequence[Mapping[str, str]], always: Sequence[str]) -> str:
    """Rows of text cells as a tabular that needs the package booktabs alone.

    Columns that are the same in all rows, but for those of `always`, become a comment.
    """
    constant = [
        key for key in rows[0] if key not in always and len(rows) > 1 and len({row[key] for row in rows}) == 1
    ]
    columns = [key for key in rows[0] if key not in constant]
    numeric = {key: all(NUMBERS.fullmatch(row[key]) for row in rows if row[key]) for key in columns}
    lines = [f"% {title}"] if title else []
    if same := [f"{key} {rows[0][key]}" for key in constant if rows[0][key]]:
        lines.append(f"% in every row: {', '.join(same)}")
    lines.append(rf"\begin{{tabular}}{{{''.join('r' if numeric[key] else 'l' for key in columns)}}}")
    lines += [r"\toprule", _latex_row(columns), r"\midrule"]
    lines += [_latex_row([row[key] for key in columns]) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_latex_cell, cells)) + r" \\"


def _latex_cell(text: str) -> str:
    """A cell; numbers in mathematics, so that a minus is one."""
    if NUMBERS.fullmatch(text):
        return " ".join(f"${part}$" for part in text.split(" ", 1))
    escaped = "".join(ESCAPED.get(character, character) for character in printable(text))
    return f"{{[}}{escaped[1:]}" if escaped.startswith("[") else escaped  # no option of the line before


def finite(value: Any) -> Any:
    """The value with null in place of numbers that are not finite, which JSON lacks."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
