"""Configurations: settings, their origins, and the checks of them."""

from hmrl_cli.config.document import (
    Written,
    config_hash,
    difference,
    flat,
    load,
    read,
    to_toml,
    tree,
    value_text,
)
from hmrl_cli.config.resolution import (
    NoSkills,
    Resolved,
    changed_evaluation,
    check_tables,
    family_of,
    flag_of,
    of_run,
    resolve,
    serving,
    with_evaluation,
)
from hmrl_cli.config.validation import OPTIONAL, from_tree

__all__ = [
    "OPTIONAL",
    "NoSkills",
    "Resolved",
    "Written",
    "changed_evaluation",
    "check_tables",
    "config_hash",
    "difference",
    "family_of",
    "flag_of",
    "flat",
    "from_tree",
    "load",
    "of_run",
    "read",
    "resolve",
    "serving",
    "to_toml",
    "tree",
    "value_text",
    "with_evaluation",
]
