"""What algorithms ask of a family's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrl_cli import features

if TYPE_CHECKING:
    from hmrl_cli.types import TaskFamily


def feature_size(family: TaskFamily, setting: str, feature: str) -> int:
    """Size of a feature that `algorithm.setting` names; raises ValueError where the family lacks it."""
    return features.feature_size(family, f"algorithm.{setting}", feature)
