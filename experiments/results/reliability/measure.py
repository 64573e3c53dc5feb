"""What a run survives, counted: writes reliability.json and reliability.md beside this script.

    python experiments/results/reliability/measure.py [--parts PART...] [--share SHARE]

**faults**: every call of a short run that writes, forces to disk or renames fails once (`faults.py`).
**flips**: one random bit of one file of a checkpoint is turned; detected are those after which the checkpoint
before it is used.  **configurations**: random settings of every preset on the command line; refused or
planned, but never a bug.

`--share` does a part of the work, such as 0.02 of the settings.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hmrl_cli import checkpoints, cli, config, errors
from hmrl_cli.lazy import np

HERE = Path(__file__).parent


def faults(share: float, draw: random.Random) -> dict[str, Any]:
    """Every call, whatever the share."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "failing.so"
        compile_it = ["cc", "-shared", "-fPIC", "-o", library, HERE / "failing.c", "-ldl"]
        subprocess.run(compile_it, check=True)
        done = subprocess.run(
            [sys.executable, HERE / "faults.py", folder],
            env=os.environ | {"LD_PRELOAD": str(library)},
            capture_output=True,
            text=True,
        )
        # in the last run no call was left to fail, or it was the one that lost something
        survived = sum(entry.name.isdecimal() for entry in Path(folder).iterdir()) - 1
    return {"tried": survived + (done.returncode != 0), "survived": survived}


def flips(share: float, draw: random.Random) -> dict[str, Any]:
    """1 000 bits of the newer of two checkpoints."""
    found = {"tried": 0, "detected": 0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trees = [{"w": np.arange(500, dtype=np.float32) + epoch, "n": np.int32(epoch)} for epoch in (1, 2)]
        for epoch, tree in enumerate(trees, 1):
            checkpoints.save(folder, epoch, tree, "hash")
        files = [file for file in (folder / "2").rglob("*") if file.is_file() and file.stat().st_size]
        for _ in range(max(1, round(1000 * share))):
            file = draw.choice(files)
            intact = file.read_bytes()
            damaged = bytearray(intact)
            damaged[draw.randrange(len(intact))] ^= 1 << draw.randrange(8)
            file.write_bytes(damaged)
            loaded = checkpoints.load(folder, trees[0], "hash")
            found["tried"] += 1
            found["detected"] += loaded is not None and loaded.epoch == 1
            file.write_bytes(intact)
    return found


def some_value(draw: random.Random, now: Any) -> str:
    """A value as somebody might write it behind `--set K=`, in place of what is there now."""
    if isinstance(now, (int, float)) and draw.random() < 0.5:
        near = now * draw.choice([0.5, 1, 2, 3]) + draw.choice([-1, 0, 0, 1])
        return json.dumps(type(now)(near))
    number = draw.choice([0, 1, -1, 2, 7, 0.5, 1e-9, 1e30, 2**31, 2**63, 10**40])
    text = draw.choice(
        ["", "tanh", "none", "../x", "\x1b[31m", "ä", "'", '"', "[", "nan", "inf", "true", "x" * 300]
    )
    several = [number, draw.choice([8, -3, "a", None]), []]
    return draw.choice([str(number), text, json.dumps(text), json.dumps(several), "[]", "{}", "{a = 1}"])


def configurations(share: float, draw: random.Random) -> dict[str, Any]:
    """5 000 command lines; no jax is needed to refuse one, and a plan compiles nothing."""
    found: dict[str, Any] = {"tried": 0, "without_a_bug": 0, "codes": {}, "bugs": []}
    resolved = [one for preset in config.presets() for one in config.serving(preset)]
    for _ in range(max(1, round(5000 * share))):
        one = draw.choice(resolved)
        settings = config.flat(one.experiment)
        paths = draw.sample(sorted(settings), draw.randint(1, 2))
        lines = (f"{path}={some_value(draw, settings[path])}" for path in paths)
        sets = [part for line in lines for part in ("--set", line)]
        argv = [one.command, one.preset, "--dry-run", *sets]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = cli.run(argv)
        found["tried"] += 1
        found["codes"][code] = found["codes"].get(code, 0) + 1
        if code in (0, 2, errors.InputError.exit_code) and "Traceback" not in said.getvalue():
            found["without_a_bug"] += 1
        else:
            found["bugs"].append({"argv": argv, "said": said.getvalue()[-500:]})
    return found


PARTS: dict[str, Callable[[float, random.Random], dict[str, Any]]] = {
    "faults": faults,
    "flips": flips,
    "configurations": configurations,
}


def table(document: dict[str, Any]) -> str:
    """What was found, as markdown."""
    rows = [("what", "held", "tried")]
    if found := document.get("faults"):
        rows.append(("calls of the system that fail, every one", found["survived"], found["tried"]))
    if found := document.get("flips"):
        rows.append(("bits of a checkpoint that flip", found["detected"], found["tried"]))
    if found := document.get("configurations"):
        rows.append(("configurations without a bug", found["without_a_bug"], found["tried"]))
    lines = [rows[0], ("---",) * 3, *rows[1:]]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def main() -> None:
    """Measure what is asked for, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--share", type=float, default=1.0, help="of the numbers above")
    parser.add_argument("-o", type=Path, default=HERE, metavar="FOLDER", help="where the files go")
    asked = parser.parse_args()
    file = asked.o / "reliability.json"
    document = json.loads(file.read_text()) if file.exists() else {}
    for part in asked.parts:
        document[part] = PARTS[part](asked.share, random.Random(0))
        document["provenance"] = {
            "command": " ".join(["python experiments/results/reliability/measure.py", *sys.argv[1:]]),
            "machine": {"cores": os.cpu_count(), "platform": platform.platform()},
            "python": platform.python_version(),
        }
        file.write_text(json.dumps(document, indent=1) + "\n")
        file.with_suffix(".md").write_text(table(document))
        print(part, document[part] if part != "configurations" else document[part]["codes"], file=sys.stderr)


if __name__ == "__main__":
    main()
