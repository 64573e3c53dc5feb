"""What a run survives, counted: writes reliability.json and reliability.md beside this script.

    python experiments/bench/reliability/measure.py [--parts PART...] [--share SHARE]

**kills**: `kill -9` at random times of trainings of every kind, each resumed until it ends; survived are
those whose run then equals, byte for byte, one that was never killed. **evaluations**: the same of `hmrl
eval`, which must leave the run as it was and either the whole document or none. **faults**: every call of a
short run that writes, forces to disk or renames fails once, and once the process is killed in its place
(`faults.py`). **flips**: one random bit of one file of a checkpoint is turned; detected are those after
which the checkpoint before it is used. **configurations**: random settings of every preset on the command
line; refused or planned, but never a bug. **term**: seconds from TERM to the exit of trainings with default
presets, while they compile (without a cache), while they train and while skills are diagnosed, and whether
the checkpoint is that of the last epoch. **soak**: a training of many epochs, the least memory, open files
and compilations that it holds in each tenth but the first.

`--share` does a part of the work, such as 0.02 of the kills.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from reliability_table import COMMAND, table

from hmrl_cli import config, errors
from hmrl_cli.cli import main as cli
from hmrl_cli.config import presets
from hmrl_cli.lazy import np
from hmrl_cli.storage import checkpoints, provenance
from hmrl_cli.storage.metrics import read_metrics

HERE = Path(__file__).parent
HMRL = Path(sys.executable).parent / "hmrl"
SMALL = ("training.epochs=40", "training.updates_per_epoch=1", "training.checkpoint_every=2")
TRAININGS = {
    "diayn": ("pretrain-skills", "point/smoke"),
    "vic": ("pretrain-skills", "point/smoke", "algorithm.name=vic", "algorithm.observe=identity"),
    "maesn": ("meta-train", "point/smoke"),
    "maml": ("meta-train", "point/smoke", "algorithm.name=maml"),
    "ppo": ("meta-train", "sparse_point/ppo", "bonus.name=rnd"),
    "sac": ("meta-train", "sparse_point/sac", "algorithm.gradient_steps=4"),
    "rl2": ("meta-train", "sparse_point/rl2", "algorithm.trials_per_update=8"),
    "pearl": ("meta-train", "sparse_point/pearl", "algorithm.gradient_steps=2"),
}
DEFAULTS = {
    "wheeled/diayn": "pretrain-skills",
    "ant_goal/diayn_ppo": "pretrain-skills",
    "point/maml": "meta-train",
    "wheeled/maesn": "meta-train",
    "ant_goal/maesn": "meta-train",
    "pusher/maesn": "meta-train",
    "ant_maze/ppo": "meta-train",
    "sparse_point/rl2": "meta-train",
    "sparse_point/pearl": "meta-train",
}


def start(command: str, preset: str, run: Path, sets: Sequence[str] = (), **options: Any) -> subprocess.Popen:
    """A training, in a process of its own."""
    argv = [HMRL, command, preset, "-q", "--run-dir", run, "--resume"]
    argv += [part for line in sets for part in ("--set", line)]
    return subprocess.Popen(argv, **({"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options))


def result(path: Path) -> Any:
    """What must not depend on how often a run was interrupted."""
    return checkpoints.fingerprint(path / "checkpoints"), (path / "metrics.jsonl").read_bytes()


def killed(training: Sequence[str], wanted: int, draw: random.Random) -> dict[str, int]:
    """Kill and resume until so many kills have hit; a run survives all of its own or none."""
    command, preset, *sets = training
    found = {"tried": 0, "survived": 0, "runs": 0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for warm in ("first", "whole"):  # the second compiles nothing, as those that are killed
            began = time.perf_counter()
            code = start(command, preset, folder / warm, [*sets, *SMALL]).wait()
            assert code == 0, f"{preset} {sets} ended with {code}"
            longest = time.perf_counter() - began
        while found["tried"] < wanted:
            path, kills, code = folder / f"cut{found['runs']}", 0, None
            while code is None:
                process = start(command, preset, path, [*sets, *SMALL])
                may_kill = found["tried"] + kills < wanted
                try:
                    code = process.wait(timeout=draw.uniform(0, longest) if may_kill else None)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
            is_whole = code == 0 and result(path) == result(folder / "whole")
            if not is_whole:
                print(f"{path} was lost after {kills} kills, exit code {code}", file=sys.stderr)
            found["tried"] += kills
            found["survived"] += kills * is_whole
            found["runs"] += 1
    return found


def kills(share: float, draw: random.Random) -> dict[str, Any]:
    """200 of them, on trainings of every kind."""
    each = max(1, round(200 * share / len(TRAININGS)))
    found = {}
    for name, training in TRAININGS.items():
        found[name] = killed(training, each, draw)
        print(name, found[name], file=sys.stderr)
    return found


def evaluations(share: float, draw: random.Random) -> dict[str, int]:
    """50 kills; survived are those that leave the run as it was, and no half of a document."""
    found, wanted = {"tried": 0, "survived": 0}, max(1, round(50 * share))
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        assert start("meta-train", "point/smoke", run).wait() == 0
        evaluate = [HMRL, "eval", run]
        documents, longest = [], 0.0
        for _ in ("compiles", "compiles nothing"):
            began = time.perf_counter()
            subprocess.run(evaluate, capture_output=True, check=True)
            longest = time.perf_counter() - began
            documents.append((run / "eval/test-sparse.json").read_bytes())
        assert documents[0] == documents[1]
        trained = result(run)
        while found["tried"] < wanted:
            (run / "eval/test-sparse.json").unlink(missing_ok=True)
            process = subprocess.Popen(evaluate, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=draw.uniform(0, longest))
            if process.poll() is None:
                process.kill()
                process.wait()
                found["tried"] += 1
                left = [file.read_bytes() for file in (run / "eval").glob("*.json")]
                found["survived"] += left in ([], documents[:1]) and result(run) == trained
        subprocess.run(evaluate, capture_output=True, check=True)
        if (run / "eval/test-sparse.json").read_bytes() != documents[0]:
            found["survived"] = 0
    return found


def faults(share: float, draw: random.Random) -> dict[str, Any]:
    """Every call, whatever the share: first it fails, then it kills."""
    found = {}
    for how in ("fail", "kill"):
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "failing.so"
            compile_it = ["cc", "-shared", "-fPIC", "-o", library, HERE / "failing.c", "-ldl"]
            subprocess.run(compile_it, check=True)
            done = subprocess.run(
                [sys.executable, HERE / "faults.py", how, folder],
                env=os.environ | {"LD_PRELOAD": str(library)},
                stdout=subprocess.DEVNULL,
                check=False,
            )
            # in the last run no call was left, or it was the one that lost something
            survived = sum(entry.name.isdecimal() for entry in Path(folder).iterdir()) - 1
        found[how] = {"tried": survived + (done.returncode != 0), "survived": survived}
    return found


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
    resolved = [one for preset in presets.files() for one in config.serving(preset)]
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


def told_to_stop(command: str, preset: str, phase: str, draw: random.Random) -> dict[str, Any]:
    """Send TERM while a training compiles, within its first epochs, or while its skills are diagnosed."""
    sets = ["training.epochs=1"] if phase == "diagnosing" else []
    begins = {
        "compiling": "config.toml",
        "training": "metrics.jsonl",
        "diagnosing": "checkpoints/1/manifest.json",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        process = start(command, preset, path, sets, env=os.environ | {"HMRL_CACHE_DIR": folder})
        while not (path / begins[phase]).is_file():
            time.sleep(0.1)
        time.sleep(draw.uniform(0, 5))
        if phase == "compiling" and (path / "metrics.jsonl").is_file():
            phase = "training"
        began = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        code = process.wait()
        seconds = time.perf_counter() - began
        kept = checkpoints.epochs(path / "checkpoints")[:1]
        recorded = read_metrics(path)[-1:] if (path / "metrics.jsonl").is_file() else []
    checkpointed = kept == [line["epoch"] for line in recorded]
    return {"seconds": seconds, "code": code, "phase": phase, "checkpointed": checkpointed}


def term(share: float, draw: random.Random) -> dict[str, Any]:
    """Every default preset, once compiling, three times training, and once while skills are diagnosed."""
    found: dict[str, Any] = {}
    for preset, command in DEFAULTS.items():
        phases = ["compiling", *["training"] * max(1, round(3 * share))]
        phases += ["diagnosing"] if command == "pretrain-skills" else []
        found[preset] = [told_to_stop(command, preset, phase, draw) for phase in phases]
        print(preset, found[preset], file=sys.stderr)
    return found


def watched(process: subprocess.Popen, run: Path, log: Path) -> Iterator[dict[str, Any]]:
    """What a process holds, at most once a second, for as long as it runs."""
    held = Path(f"/proc/{process.pid}")
    while process.poll() is None:
        time.sleep(1)
        with contextlib.suppress(OSError, IndexError):  # it may end at any time, and begins without metrics
            yield {
                "epoch": json.loads((run / "metrics.jsonl").read_bytes().splitlines()[-2])["epoch"],
                "rss_mib": int((held / "status").read_text().split("VmRSS:")[1].split()[0]) / 1024,
                "files": len(os.listdir(held / "fd")),
                "compilations": log.read_text().count("Compiling"),
            }


def soak(share: float, draw: random.Random) -> dict[str, Any]:
    """2 000 epochs of MAESN on the point."""
    epochs, found = max(100, round(2000 * share)), {"tenths": []}
    with tempfile.TemporaryDirectory() as name:
        run, log = Path(name) / "run", Path(name) / "log"
        with log.open("w") as file:
            environment = os.environ | {"JAX_LOG_COMPILES": "1"}
            sets = [f"training.epochs={epochs}", "training.checkpoint_every=10"]
            process = start("meta-train", "point/smoke", run, sets, stderr=file, env=environment)
            seen = list(watched(process, run, log))
    found["code"] = process.returncode
    for tenth in range(1, 10):
        there = [now for now in seen if now["epoch"] * 10 // epochs == tenth and now["epoch"] < epochs - 5]
        found["tenths"].append({name: min(now[name] for now in there) for name in there[0]})
    return found


PARTS: dict[str, Callable[[float, random.Random], dict[str, Any]]] = {
    "kills": kills,
    "evaluations": evaluations,
    "faults": faults,
    "flips": flips,
    "configurations": configurations,
    "term": term,
    "soak": soak,
}


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
        document.setdefault("provenance", {})[part] = {
            "command": f"{COMMAND} --parts {part} --share {asked.share}",
            "machine": {"cores": os.cpu_count(), "platform": platform.platform()},
            "python": platform.python_version(),
            "commit": provenance.git_commit(),
        }
        file.write_text(json.dumps(document, indent=1) + "\n")
        file.with_suffix(".md").write_text(table(document))
        print(part, document[part] if part != "configurations" else document[part]["codes"], file=sys.stderr)


if __name__ == "__main__":
    main()
