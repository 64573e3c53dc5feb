"""Batch scripts of a suite for Slurm: arrays of jobs that need one another, and a script that submits them.

All runs of skills are one array.  The runs over one library are an array that needs one job of it (afterok).
In an array of evaluations, job N needs job N of an array of runs (aftercorr).  So a failure stops only what
stands on it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli.errors import ConfigError, MissingDependency, RunDirError, one_line
from hmrl_cli.storage import files, layout
from hmrl_cli.suite.cells import Cell
from hmrl_cli.suite.execution import hmrl
from hmrl_cli.suite.states import State

NO_CLUSTER = re.compile("configuration source|contact slurm controller|Connection (refused|timed out)")
SCRIPT = """\
#!/bin/sh
# Written by `hmrl suite run --slurm`; submitted by submit.sh, in the folder of the suite.
#SBATCH --job-name={suite}-{name}
#SBATCH --array=0-{last}
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --output=logs/slurm-{name}-%a.log
{options}: "${{HMRL:=hmrl}}"
export HMRL
case $SLURM_ARRAY_TASK_ID in
{tasks}esac
exec sh slurm/requeue.sh sh -c "trap : TERM USR1; $commands"
"""
SUBMIT = """\
#!/bin/sh
# Written by `hmrl suite run --slurm`: submits the arrays of the suite.  Options are those of sbatch.
set -eu
cd "$(dirname "$0")/.."
: >slurm/jobs
submit() {{ # NAME [OPTION...]
  name=$1
  shift
  id=$(sbatch --parsable "$@" "slurm/$name.sbatch")
  id=${{id%%;*}}
  echo "$id" >>slurm/jobs
  echo "$name: job $id" >&2
}}
{lines}
"""


class Array(NamedTuple):
    """An array of jobs, one for each run."""

    name: str
    jobs: list[list[Cell]]  # the cells of each job, in their order
    after: str  # the option of sbatch for what it needs, in which `${NAME}` is the job of another array


def arrays(cells: Sequence[Cell], found: Mapping[str, State]) -> list[Array]:
    """The arrays of all cells that are not done, each after those that it needs."""
    left = [cell for cell in cells if found[cell.name].state != "done"]
    skills = [cell for cell in left if cell.kind == "skills"]
    job = {cell.name: number for number, cell in enumerate(skills)}
    result = [Array("skills", [[cell] for cell in skills], "")] if skills else []
    evals: dict[str, list[Cell]] = {}  # run -> its evaluations
    for cell in left:
        if cell.kind == "eval":
            evals.setdefault(cell.run, []).append(cell)
    # dependency, and whether there are evaluations: aftercorr pairs each job of an array with one of another
    waiting: dict[tuple[str, bool], list[Cell]] = {}
    for cell in left:
        if cell.kind == "meta":
            needs = [f"${{skills}}_{job[name]}" for name in cell.needs if name in job]
            after = f"--dependency=afterok:{needs[0]}" if needs else ""
            waiting.setdefault((after, cell.run in evals), []).append(cell)
    for number, ((after, are_evaluated), runs) in enumerate(waiting.items()):
        result.append(Array(f"meta{number}", [[run] for run in runs], after))
        if are_evaluated:
            needs_run = f"--dependency=aftercorr:${{meta{number}}}"
            result.append(Array(f"eval{number}", [evals.pop(run.run) for run in runs], needs_run))
    return [*result, *([Array("eval", list(evals.values()), "")] if evals else [])]


def write(
    suite: str,
    cells: Sequence[Cell],
    found: Mapping[str, State],
    folder: Path,
    options: Mapping[str, Any],
) -> Path:
    """Write the scripts into the folder slurm/ of a suite; returns the script that submits them.

    Args:
        suite: name of the suite.
        cells: all cells of the suite.
        found: their states.
        folder: the folder of the suite.
        options: long options of sbatch, without dashes -> values; true is an option without one.

    Raises:
        StorageError: the folder cannot be written to.
    """
    place = folder / "slurm"
    with files.writing(place):
        place.mkdir(parents=True, exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
        for old in place.glob("*.sbatch"):
            old.unlink()
    files.write_bytes(place / "requeue.sh", _requeue().read_bytes())
    lines = []
    for array in arrays(cells, found):
        files.write_text(place / f"{array.name}.sbatch", _script(suite, array, options))
        after = f' "{array.after}"' if array.after else ""
        lines.append(f'submit {array.name}{after} "$@"\n{array.name}=$id')
    files.write_text(place / "submit.sh", SUBMIT.format(lines="\n".join(lines)))
    return place / "submit.sh"


def _script(suite: str, array: Array, options: Mapping[str, Any]) -> str:
    tasks = [
        f"{number}) commands={shlex.quote(_commands(job))} ;;\n" for number, job in enumerate(array.jobs)
    ]
    lines = [f"#SBATCH {_option(name, value)}\n" for name, value in options.items() if value is not False]
    return SCRIPT.format(
        suite=suite, name=array.name, last=len(array.jobs) - 1, options="".join(lines), tasks="".join(tasks)
    )


def _option(name: str, value: Any) -> str:
    """An option as sbatch reads it in a script, where a value with blanks has double quotes."""
    if value is True:
        return f"--{name}"
    return f'--{name}="{value}"' if re.search(r"\s", str(value)) else f"--{name}={value}"


def _commands(job: Sequence[Cell]) -> str:
    """The commands of a job.  When a job is requeued, it starts again and keeps results of the whole run."""
    commands = []
    for cell in job:
        # HMRL is text that a shell reads, so that it may name a program in a folder with blanks
        command = f'eval "$HMRL" {shlex.quote(shlex.join(cell.arguments))}'
        if cell.kind == "eval":
            result, trained = shlex.quote(cell.result), shlex.quote(f"{cell.run}/{layout.STATUS}")
            command = f"{{ [ {result} -nt {trained} ] || {command}; }}"
        commands.append(command)
    return " && ".join(commands)


def _requeue() -> Path:
    """The script that requeues a job whose time is up: in an installed package, or in a checkout."""
    installed = Path(__file__).with_name("requeue.sh")
    if installed.is_file():
        return installed
    return Path(__file__).parent.parent.parent / "experiments" / "batch" / "requeue.sh"


def check_no_jobs(folder: Path) -> None:
    """Refuse to submit jobs where those of an earlier submission are in the queue or run.

    Raises:
        RunDirError: names the jobs.
        MissingDependency: squeue does not answer, so nobody knows.
    """
    try:
        jobs = (folder / "slurm" / "jobs").read_text().split()
    except (FileNotFoundError, NotADirectoryError):
        return
    if not jobs or shutil.which("squeue") is None:
        return
    asked = subprocess.run(["squeue", "-h", "-o", "%F", "-j", ",".join(jobs)], capture_output=True, text=True)
    if waiting := sorted({*asked.stdout.split()}):
        raise RunDirError(
            f"{folder}: jobs {', '.join(waiting)} of this suite are in the queue or run\n"
            f"must have ended, or be cancelled: scancel {' '.join(waiting)}"
        )
    if asked.returncode and "Invalid job id" not in asked.stderr:  # as of jobs that ended long ago
        raise MissingDependency(
            f"squeue: does not answer: {one_line(asked.stderr)[-200:]}\n"
            f"must say whether jobs {', '.join(jobs[:3])}{', ...' * (len(jobs) > 3)} of {folder} have ended"
        )


def submit(script: Path) -> None:
    """Submit the arrays.

    Raises:
        MissingDependency: no cluster answers.
        ConfigError: sbatch refuses a job, such as one for an unknown partition.
    """
    command = ["sh", str(script)]
    done = subprocess.run(
        command, env=os.environ | {"HMRL": hmrl()}, stdout=2, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        absent = NO_CLUSTER.search(done.stderr)
        kind, what = (MissingDependency, "no cluster answers") if absent else (ConfigError, "sbatch refuses")
        raise kind(f"{script}: {what}: {_reasons(done.stderr)}\nto submit it by hand: sh {script}")


def _reasons(stderr: str) -> str:
    """At most two messages of sbatch, without those that only name its internal functions."""
    lines = [line.partition(": ")[2] for line in stderr.splitlines() if line.startswith("sbatch: ")]
    said = [line.removeprefix("error: ").removeprefix("fatal: ") for line in lines]
    told = [line for line in said if not re.match(r"\w*_\w*: ", line)] or said or [stderr[-200:]]
    return one_line("; ".join(told[:2]))
