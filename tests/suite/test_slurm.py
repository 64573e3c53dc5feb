"""Batch scripts of a suite: arrays, what they need, and what they run."""

import os
import re
import subprocess
import time

import pytest

from hmrl_cli.errors import ConfigError, MissingDependency, RunDirError
from hmrl_cli.suite import cells, declaration, slurm
from hmrl_cli.suite.states import states
from tests.suite.stand_in import finish, logged, stand_in
from tests.test_batch import cluster  # noqa: F401

# runs every job of an array at once, and prints the number of the array
SBATCH = """#!/bin/sh
echo "$*" >>{place}/submitted
for script; do :; done
last=$(sed -n 's/^#SBATCH --array=0-//p' "$script")
for SLURM_ARRAY_TASK_ID in $(seq 0 "$last"); do export SLURM_ARRAY_TASK_ID; sh "$script" >&2 || exit; done
echo "$(wc -l <{place}/submitted);cluster"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a stand-in for sbatch that is found first."""
    (tmp_path / "sbatch").write_text(SBATCH.format(place=tmp_path))
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def written(found, folder, options=None):
    return slurm.write("tiny", found, states(found, folder), folder, options or {})


def test_arrays_need_one_another(tiny, tmp_path):
    arrays = {array.name: array for array in slurm.arrays(tiny, states(tiny, tmp_path))}
    assert {name: (len(array.jobs), array.after) for name, array in arrays.items()} == {
        "skills": (2, ""),
        "meta0": (1, "--dependency=afterok:${skills}_0"),
        "eval0": (1, "--dependency=aftercorr:${meta0}"),
        "meta1": (2, ""),
        "eval1": (2, "--dependency=aftercorr:${meta1}"),
        "meta2": (1, "--dependency=afterok:${skills}_1"),
        "eval2": (1, "--dependency=aftercorr:${meta2}"),
    }
    for name in ("0", "1", "2"):
        runs = [job[0].name for job in arrays[f"meta{name}"].jobs]
        assert [job[0].needs[0] for job in arrays[f"eval{name}"].jobs] == runs


def test_runs_without_evaluations_leave_those_of_others(read, tmp_path):
    """Only the runs that are evaluated share an array with dependent evaluations."""
    arms = "".join(f'[arms.{name}]\npreset = "{{family}}/smoke"\n' for name in "ab")
    found = cells.cells(read(f'[suite]\nfamilies = ["point"]\nseeds = 1\n{arms}eval.split = []\n'))
    arrays = {array.name: array for array in slurm.arrays(found, states(found, tmp_path))}
    names = {name: [cell.name for job in array.jobs for cell in job] for name, array in arrays.items()}
    assert names == {
        "meta0": ["meta/point/a/seed0"],
        "eval0": ["eval/point/a/seed0/test-sparse"],
        "meta1": ["meta/point/b/seed0"],
    }
    assert arrays["eval0"].after == "--dependency=aftercorr:${meta0}"


def test_a_look_at_a_run_in_training_is_no_result(tiny, place, monkeypatch):
    """A requeued job keeps results that are younger than the whole run, and no others."""
    monkeypatch.setenv("HMRL", str(stand_in(place, tiny)))
    folder = place / "suite"
    written(tiny, folder)
    run = next(cell for cell in tiny if cell.kind == "meta")
    early, late = (cell for cell in tiny if cell.kind == "eval" and cell.run == run.run)
    finish(run, folder)
    finish(early, folder, {"epoch": 1})
    finish(late, folder, {"epoch": 2})
    for number, cell in enumerate((early, run, late)):
        os.utime(folder / cell.result, (number, number))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    subprocess.run(["sh", "slurm/eval0.sbatch"], check=True)
    assert logged(place) == [" ".join(early.arguments)]


def test_what_is_done_is_in_no_array(tiny, tmp_path):
    for cell in tiny[:3]:  # skills, and a run over them
        finish(cell, tmp_path)
    finish(tiny[6], tmp_path, {"epoch": 2})
    arrays = {array.name: array for array in slurm.arrays(tiny, states(tiny, tmp_path))}
    assert {name: (len(array.jobs), array.after) for name, array in arrays.items()} == {
        "meta0": (3, ""),
        "eval0": (3, "--dependency=aftercorr:${meta0}"),
        "eval": (1, ""),
    }
    assert arrays["eval"].jobs == [[tiny[7]]]


def test_submitting_runs_every_cell_once(tiny, place, monkeypatch):
    monkeypatch.setenv("HMRL", str(stand_in(place, tiny)))
    folder = place / "suite"
    slurm.submit(written(tiny, folder, {"partition": "gpu", "time": "1:00:00"}))
    assert {state.state for state in states(tiny, folder).values()} == {"done"}
    assert len(logged(place)) == len(tiny) and logged(place, "twice") == []
    told = logged(place, "submitted")
    assert told[0] == "--parsable slurm/skills.sbatch"
    assert told[1] == "--parsable --dependency=afterok:1_0 slurm/meta0.sbatch"
    assert told[2] == "--parsable --dependency=aftercorr:2 slurm/eval0.sbatch"
    assert (folder / "slurm/jobs").read_text().split() == [str(number) for number in range(1, 8)]
    text = (folder / "slurm/skills.sbatch").read_text()
    assert "#SBATCH --partition=gpu\n#SBATCH --time=1:00:00\n" in text
    assert "#SBATCH --signal=B:USR1@120\n#SBATCH --requeue\n" in text


def test_options_are_written_as_sbatch_reads_them(tiny, tmp_path):
    options = {"exclusive": True, "overcommit": False, "comment": "my suite", "nodes": 1}
    written(tiny, tmp_path, options)
    lines = (tmp_path / "slurm" / "skills.sbatch").read_text().splitlines()
    assert [line for line in lines if re.search("exclusive|overcommit|comment|nodes", line)] == [
        "#SBATCH --exclusive",
        '#SBATCH --comment="my suite"',
        "#SBATCH --nodes=1",
    ]


def test_options_that_hmrl_writes_cannot_be_declared():
    assert {*re.findall("#SBATCH --([a-z-]+)", slurm.SCRIPT), "dependency"} <= {*declaration.OF_HMRL}


def test_the_program_may_lie_in_a_folder_with_blanks(tiny, place, monkeypatch):
    (place / "my env").mkdir()
    program = stand_in(place, tiny).rename(place / "my env" / "hmrl")
    monkeypatch.setenv("HMRL", f"'{program}'")  # as execution.hmrl says it
    slurm.submit(written(tiny, place / "suite"))
    assert {state.state for state in states(tiny, place / "suite").values()} == {"done"}


def test_jobs_that_wait_or_run_are_not_submitted_twice(tmp_path, place, monkeypatch):
    slurm.check_no_jobs(tmp_path)
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/jobs").write_text("3\n4\n")
    (place / "squeue").write_text('#!/bin/sh\n[ "$*" = "-h -o %F -j 3,4" ] && printf "4\\n4\\n"\n')
    (place / "squeue").chmod(0o755)
    with pytest.raises(RunDirError, match="jobs 4 of this suite are in the queue or run"):
        slurm.check_no_jobs(tmp_path)
    (place / "squeue").write_text("#!/bin/sh\necho 'Invalid job id specified' >&2\nexit 1\n")
    slurm.check_no_jobs(tmp_path)
    (place / "squeue").write_text(f"#!/bin/sh\necho 'slurm_load_jobs error: {AWAY}' >&2\nexit 1\n")
    with pytest.raises(MissingDependency, match=r"^squeue: does not answer: .*failure\)\n.*jobs 3, 4 of"):
        slurm.check_no_jobs(tmp_path)  # or all of them would be submitted twice


NOBODY = """\
sbatch: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host
sbatch: error: fetch_config: DNS SRV lookup failed
sbatch: error: _establish_config_source: failed to fetch config
sbatch: fatal: Could not establish a configuration source
"""
AWAY = "Unable to contact slurm controller (connect failure)"
PARTITION = """\
sbatch: error: invalid partition specified: gpu
sbatch: error: Batch job submission failed: Invalid partition name specified
"""


@pytest.mark.parametrize(
    ("stderr", "kind", "told"),
    [
        (NOBODY, MissingDependency, "no cluster answers: Could not establish a configuration source"),
        (f"sbatch: error: Batch job submission failed: {AWAY}\n", MissingDependency, f"failed: {AWAY}"),
        (PARTITION, ConfigError, "partition specified: gpu; Batch job submission failed: Invalid partition"),
        ("slurm/submit.sh: 9: no\n", ConfigError, "sbatch refuses: slurm/submit.sh: 9: no"),
    ],
)
def test_what_sbatch_refuses_is_told(stderr, kind, told, monkeypatch, tmp_path):
    done = subprocess.CompletedProcess([], 1, stderr=stderr)
    monkeypatch.setattr(slurm.subprocess, "run", lambda *args, **kwargs: done)
    with pytest.raises(kind, match=re.escape(told)) as error:
        slurm.submit(tmp_path / "submit.sh")
    assert len(str(error.value).splitlines()) == 2 and "DNS" not in str(error.value)


@pytest.mark.slow
@pytest.mark.xdist_group("tests/test_batch.py")  # whose cluster has the same ports
def test_a_cluster_runs_every_cell_once_and_in_order(cluster, tiny, tmp_path, monkeypatch):  # noqa: F811
    def waits(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout

    while "idle" not in waits("sinfo", "-h"):
        time.sleep(0.5)
    folder = tmp_path / "suite"
    monkeypatch.setenv("HMRL", str(stand_in(tmp_path, tiny)))
    monkeypatch.setenv("FAIL", "meta/point/hmrl/seeds0-1")
    slurm.submit(written(tiny, folder))
    with pytest.raises(RunDirError, match="in the queue or run"):
        slurm.check_no_jobs(folder)
    while waits("squeue", "-h"):
        time.sleep(0.5)
    left = {name for name, state in states(tiny, folder).items() if state.state != "done"}
    assert left == {cell.name for cell in tiny if cell.run == "meta/point/hmrl/seeds0-1"}
    monkeypatch.delenv("FAIL")
    slurm.check_no_jobs(folder)
    slurm.submit(written(tiny, folder))
    while waits("squeue", "-h"):
        time.sleep(0.5)
    assert {state.state for state in states(tiny, folder).values()} == {"done"}
    assert logged(tmp_path, "twice") == []
