"""What was asked for: settings, where they come from, and whether they fit together."""

from hmrl_cli.config.document import config_hash, difference, file_hash, flat, to_toml, tree
from hmrl_cli.config.resolution import Resolved, family_of, resolve, serving, with_evaluation
from hmrl_cli.config.validation import OPTIONAL, from_tree, load

__all__ = [
    "OPTIONAL",
    "Resolved",
    "config_hash",
    "difference",
    "family_of",
    "file_hash",
    "flat",
    "from_tree",
    "load",
    "resolve",
    "serving",
    "to_toml",
    "tree",
    "with_evaluation",
]
