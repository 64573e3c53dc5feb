"""Maps of where arms explored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmrl_cli.report.arms import Arm

CAPTION = ""


def recorded(members: Sequence[Arm]) -> dict[str, Any]:
    return {}


def missing(members: Sequence[Arm]) -> list[str]:
    return []


def explored(recorded: Mapping[str, Any], names: Sequence[str]) -> Any:
    raise NotImplementedError
