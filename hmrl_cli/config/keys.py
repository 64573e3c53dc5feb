"""Dotted paths of settings, and which of them a mistyped one may mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic.fields import FieldInfo

from hmrl_cli.errors import closest, did_you_mean, did_you_mean_one_of
from hmrl_cli.schema import Strict

MOST = 3  # paths that are suggested at once


def of(models: Mapping[str, type[Strict]]) -> dict[str, FieldInfo]:
    """Dotted path -> field of every setting.

    Args:
        models: section -> class of its settings.
    """
    return {
        f"{section}.{path}": field for section, model in models.items() for path, field in model.settings()
    }


def suggestion(path: str, siblings: Collection[str], known: Collection[str]) -> str:
    """`; did you mean 'x'?` for an unknown path; "" where nothing is close.

    The same name in another table comes first, then a close name beside it, then a close name anywhere.
    Tables within other sections count last.

    Args:
        path: the dotted path that is unknown.
        siblings: names that exist in its table.
        known: dotted paths of all settings.
    """
    section, last = path.partition(".")[0], path.rpartition(".")[2]
    near = [one for one in known if "." not in path or one.startswith(f"{section}.") or one.count(".") == 1]
    same = next(filter(None, (_ending_in(x, of) for x in (path, last) for of in (near, known))), [])
    beside = did_you_mean(last, siblings)
    if same or beside:
        return did_you_mean_one_of(same) or beside
    names = {one.rpartition(".")[2] for one in known}
    return did_you_mean_one_of(_ending_in(closest(last, names), known))


def _ending_in(path: str, known: Collection[str]) -> list[str]:
    """The first `MOST` known paths that end in a path of whole names, those with fewest names first."""
    found = sorted((one for one in known if one.endswith(f".{path}")), key=lambda one: one.count("."))
    return found[:MOST]
