"""Tables as lines of text that fit a width, and of which nothing is ever cut.

A width is one of a terminal, where a letter of some scripts takes two cells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rich.cells import cell_len

GAP = 2  # between two columns
READABLE = 20  # characters of a column of prose
_WHOLE = re.compile(r"\[[^\[\]]{,30}\]\S*|\S+")  # a word, or an interval


def fitted(cells: Sequence[Sequence[str]], width: int | None = None) -> list[list[str]]:
    """Lines of every row of cells [row][column], the headers first.

    Where a table is wider than `width`, its first column has lines of its own.  Where that does not do, cells
    are broken between words and never within an interval; a terminal breaks the words that are longer.
    Then both are done.  Where that does not do either, every row is lines of "header: cell", and there is no
    line of headers.  None is any width.
    """
    columns = list(zip(*cells, strict=True))
    natural = [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns]
    if width is None or _total(natural) <= width:
        return [_row(row, natural) for row in cells]
    is_wide = len(columns) > 2
    if is_wide and GAP + _total(natural[1:]) <= width:
        return _grouped(cells, natural[1:])
    if widths := _widths(columns, natural, width):
        return [_row(row, widths) for row in cells]
    if is_wide and (widths := _widths(columns[1:], natural[1:], width - GAP)):
        return _grouped(cells, widths)
    return [[], *_records(cells, width)]


def names_in_parts(rows: Sequence[Mapping[str, str]], column: str, width: int) -> list[dict[str, str]]:
    """Rows whose names in a column are broken after a "/", if the rows fit a width by that.

    A broken name has the parts of a path on lines of their own, as many on a line as it holds.
    """
    widest = {key: max(cell_len(key), *(cell_len(row[key]) for row in rows)) for key in rows[0]}
    room = width - _total([size for key, size in widest.items() if key != column]) - GAP
    if widest[column] <= room:
        return [dict(row) for row in rows]
    parts = [re.findall(r"[^/]*/+|[^/]+", row[column]) for row in rows]
    if max(cell_len(part) for name in parts for part in (*name, column)) > room:
        room = width  # on lines of their own
    return [
        row | {column: "\n".join(_joined(name, room))}
        for row, name in zip(map(dict, rows), parts, strict=True)
    ]


def _joined(parts: Sequence[str], width: int) -> list[str]:
    """The parts in lines, as many on a line as fit."""
    lines = [""]
    for part in parts:
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return lines


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _grouped(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[list[str]]:
    """Rows below their first cell, which is shown only if it differs from that of the row before."""
    before = [None, *(row[0] for row in cells)]
    return [
        [
            *([] if row[0] == last else row[0].split("\n")),
            *(" " * GAP + line for line in _row(row[1:], widths)),
        ]
        for row, last in zip(cells, before, strict=False)
    ]


def _widths(columns: Sequence[Sequence[str]], natural: list[int], width: int) -> list[int] | None:
    """Widths of columns that fit and stay readable; None if there are none."""
    words = [[word for cell in column for word in _words(cell)] for column in columns]
    least = [max(map(cell_len, of_column), default=0) for of_column in words]
    least[-1] = min(least[-1], READABLE)  # a longer word there may go on beyond the width
    prose = [READABLE if full > 2 * READABLE else 0 for full in natural]
    least = [max(sizes) for sizes in zip(least, prose, strict=True)]
    spare = width - _total(least)
    if spare < 0:
        return None
    longest = natural.index(max(natural))
    generous = [x + spare * (column == longest) for column, x in enumerate(least)]
    caps = range(max(natural), 0, -1)
    even = ([max(x, min(full, cap)) for x, full in zip(least, natural, strict=True)] for cap in caps)
    fair = next(widths for widths in even if _total(widths) <= width)
    return min(fair, generous, key=lambda widths: _height(columns, widths))


def _height(columns: Sequence[Sequence[str]], widths: Sequence[int]) -> int:
    """How many lines the rows have."""
    heights = [
        [len(_broken(cell, width)) for cell in column] for column, width in zip(columns, widths, strict=True)
    ]
    return sum(map(max, zip(*heights, strict=True)))


def _words(cell: str) -> list[str]:
    return _WHOLE.findall(cell)


def _broken(cell: str, width: int) -> list[str]:
    """The lines of a cell."""
    if "\n" in cell:
        return [line for part in cell.split("\n") for line in _broken(part, width)]
    return [cell] if cell_len(cell) <= width else _filled(cell, width) or [""]


def _filled(text: str, width: int, indent: str = "") -> list[str]:
    """The words of a text in lines that fit, indented from the second line on."""
    lines: list[str] = []
    for word in _words(text):
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{indent if lines else ''}{word}")
    return lines


def _row(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    parts = [_broken(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max(map(len, parts), default=0)
    padded = [[*part, *[""] * (height - len(part))] for part in parts]
    return [
        (" " * GAP).join(_padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*padded, strict=True)
    ]


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))


def _records(cells: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """Every row as lines of "header: cell", and an empty one between two rows."""
    headers, *rows = cells
    records = []
    for number, row in enumerate(rows):
        lines = [""] if number else []
        for header, cell in zip(headers, row, strict=True):
            lines += wrapped(f"{header}: {cell}" if header else cell, width)
        records.append(lines)
    return records


def wrapped(text: str, width: int | None) -> list[str]:
    """Lines of a text, all but the first indented; words longer than a line stay whole."""
    return [text] if width is None else _filled(text, max(width, 2 * GAP), " " * GAP)


def chosen(
    rows: Sequence[Mapping[str, str]],
    always: Sequence[str],
    optional: Sequence[str],
    width: int,
    broken: Sequence[str] = (),
) -> tuple[list[str], list[str], list[str]]:
    """Which columns of some rows to show in a width.

    Args:
        rows: of equal keys.
        always: the columns that are shown whatever the width.
        optional: columns that are shown where there is room, the most wanted first; columns that are in
            neither come last.
        width: of a line.
        broken: the columns whose cells may be broken between words to make room.

    Returns:
        the columns to show, those that are the same in all rows, and those for which there is no room.
    """
    wanted = [column for column in dict.fromkeys((*optional, *rows[0])) if column in rows[0]]
    wanted = [column for column in wanted if column not in always]
    constant = [column for column in rows[0] if column in wanted and len({row[column] for row in rows}) == 1]
    parts = {
        column: [
            part for row in rows for part in (_words(row[column]) if column in broken else [row[column]])
        ]
        for column in rows[0]
    }
    widths = {column: max(map(cell_len, (column, *parts[column]))) + GAP for column in rows[0]}
    shown = {column for column in always if column in rows[0]}
    for column in wanted:
        if column not in constant and sum(widths[x] for x in (*shown, column)) - GAP <= width:
            shown.add(column)
    left_out = [column for column in rows[0] if column not in {*shown, *constant}]
    return [column for column in rows[0] if column in shown], constant, left_out
