"""A stand-in for hmrl that writes at once what each cell of a suite has to write."""

import hashlib
import json
import shlex
from pathlib import Path

from hmrl_cli import config
from hmrl_cli.config import recorded

TINY = """
[suite]
seeds = 2
families = ["point", "sparse_point"]
[skills.diayn]
preset = "{family}/smoke"
[arms.hmrl]
preset = "{family}/smoke"
skills = "diayn"
set.hierarchy.steps_per_skill = 2
[arms.maesn]
preset = "{family}/smoke"
[eval]
split = ["test", "train"]
"""
EPOCH = 2  # of point/smoke
STUB = """#!/bin/sh
printf '%s\\n' "$*" >>{place}/calls
ready={place}/ready/$(printf '%s\\n' "$*" | sha256sum | cut -c1-64)
read -r run result <"$ready/where"
[ -e "$result" ] && printf '%s\\n' "$*" >>{place}/twice
exec 9>"$ready/busy"
flock -n 9 || printf '%s\\n' "$*" >>{place}/twice
[ "$(wc -l <{place}/calls)" -lt "${{KILL_AT:-999}}" ] || {{ mkdir {place}/killed 2>&- && kill -9 $PPID; }}
trap 'kill $!; exit 75' TERM
sleep ${{SLEEP:-0.01}} &
wait
case " $* " in *" ${{FAIL:-nothing}} "*) echo 'error: diverged: params is not finite' >&2; exit 76 ;; esac
mkdir -p "$run/eval"
[ -e "$run/config.toml" ] || {{ cp "$ready/config.toml" "$ready/new" && mv "$ready/new" "$run/config.toml"; }}
cp "$ready/result" "$ready/new" && mv "$ready/new" "$result"
"""


def stand_in(place: Path, cells, document=lambda cell: {"epoch": EPOCH}) -> Path:
    """The script, which does the work of these cells.

    It logs its calls, and those of cells that are done already or are being done.  KILL_AT=N lets the N-th
    call kill its parent, and FAIL=WORD lets calls with that word fail.
    """
    for cell in cells:
        line = " ".join(cell.arguments) + "\n"
        ready = place / "ready" / hashlib.sha256(line.encode()).hexdigest()
        ready.mkdir(parents=True)
        (ready / "where").write_text(f"{cell.run} {cell.result}\n")
        (ready / "config.toml").write_text(config.to_toml(cell.experiment))
        result = (
            document(cell) if cell.kind == "eval" else {"state": "complete", "epoch": EPOCH, "epochs": EPOCH}
        )
        (ready / "result").write_text(json.dumps(result))
    script = place / "hmrl"
    script.write_text(STUB.format(place=shlex.quote(str(place))))
    script.chmod(0o755)
    return script


def logged(place: Path, name: str = "calls") -> list[str]:
    """Lines of a log of the stand-in."""
    return (place / name).read_text().splitlines() if (place / name).exists() else []


def finish(cell, folder: Path, document=None) -> None:
    """Write what the command of a cell writes."""
    (folder / cell.run / "eval").mkdir(parents=True, exist_ok=True)
    (folder / cell.run / "config.toml").write_text(config.to_toml(cell.experiment))
    if cell.kind != "eval":
        kept = {"schema": 1, "plugins": recorded.record(cell.experiment)}
        (folder / cell.run / "provenance.json").write_text(json.dumps(kept))
    result = document or {"state": "complete", "epoch": EPOCH, "epochs": EPOCH}
    (folder / cell.result).write_text(json.dumps(result))
