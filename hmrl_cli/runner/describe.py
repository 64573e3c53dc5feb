"""Sizes and reference lines of a task family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli import config
from hmrl_cli.config import plugins
from hmrl_cli.evaluation import adaptation
from hmrl_cli.runner.assembly import make_family
from hmrl_cli.runner.tasks import split_name, tasks_of
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import Continuous

if TYPE_CHECKING:
    from hmrl_cli.types import Split


def describe_family(name: str, split: Split = "test", tasks_file: Path | None = None) -> dict[str, Any]:
    """The sizes of a family, and its reference lines under each reward, from rollouts.

    Args:
        name: a family, with its default settings, or a preset, with the family settings of the preset.
        split: the tasks to roll out.
        tasks_file: a user's tasks, in place of the split.

    Returns:
        a JSON document: what observation, action and reward mean, sizes, horizon in steps, number of tasks,
        and `dense` and `sparse` lines.

    Raises:
        ConfigError: no family or preset has this name.
        InputError: the task file cannot be used.
    """
    family_config = config.family_of(name)
    families = {reward: make_family(family_config, reward) for reward in ("dense", "sparse")}
    family = families["dense"]
    tasks = tasks_of(family, split, Evaluation(), tasks_file)
    return {
        "name": family.name,
        "meaning": plugins.meaning(plugins.make("families", family_config)),
        "obs_size": family.obs_size,
        "action": {
            "kind": "continuous" if isinstance(family.action, Continuous) else "discrete",
            "size": family.action.size,
        },
        "horizon": family.horizon,
        "num_tasks": len(tasks),
        "split": split_name(split, tasks_file),
        **{reward: adaptation.reference_lines(family, tasks) for reward, family in families.items()},
    }
