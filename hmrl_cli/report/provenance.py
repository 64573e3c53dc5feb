"""The part of a page that says where each run is from."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from hmrl_cli.report.arms import Arm
from hmrl_cli.report.elements import escaped, narrow
from hmrl_cli.storage.reader import Info

FIRST = ("run", "folder", "algorithm", "seeds", "created", "hmrl", "commit")
HASH = 8  # digits of a hash


def part(arms: Sequence[Arm], infos: Sequence[Info]) -> str:
    """A table of all run directories, and the command that began each."""
    rows = [_row(arm, info) for arm in arms for info in infos if info.path in arm.paths]
    commands = [
        f"<li>{escaped(info.path)}: <code>{escaped(shlex.join(map(str, argv)))}</code></li>"
        for info in infos
        if (argv := info.provenance.get("argv")) and isinstance(argv, list)
    ]
    listed = f'<details><summary>Command lines</summary><ul class="note">{"".join(commands)}</ul></details>'
    return narrow(rows, FIRST, "Where each run is from", "left") + (listed if commands else "")


def _row(arm: Arm, info: Info) -> dict[str, Any]:
    kept, training = info.provenance, info.experiment.training
    versions, machine = kept.get("versions") or {}, kept.get("machine") or {}
    document = arm.documents[0] if arm.documents and len(arm.paths) == 1 else {}
    return {
        "run": arm.name,
        "folder": info.path,
        "algorithm": info.experiment.algorithm.name,
        "seeds": ", ".join(map(str, training.seeds)),
        "created": str(kept.get("created") or "")[:16].replace("T", " "),
        "hmrl": versions.get("hmrl"),
        "commit": (kept.get("git") or "")[:HASH],
        "epoch": document.get("epoch"),
        "checkpoint": (document.get("arrays_sha256") or "")[:HASH],
        "skills": ((kept.get("skills") or {}).get("arrays_sha256") or "")[:HASH],
        "tasks": ", ".join(dict.fromkeys(one["tasks_sha256"][:HASH] for one in arm.documents)),
        "jax": versions.get("jax"),
        "python": versions.get("python"),
        "devices": ", ".join(map(str, dict.fromkeys(machine.get("devices") or ()))),
    }
