"""The counts of `measure.py` as a table."""

from __future__ import annotations

from typing import Any

COMMAND = "python experiments/bench/reliability/measure.py"


def table(document: dict[str, Any]) -> str:
    """What was found, as markdown."""
    rows = [("what", "held", "tried")]
    if found := document.get("kills"):
        rows += [(f"kills of `{name}`", one["survived"], one["tried"]) for name, one in found.items()]
        total = (sum(one[key] for one in found.values()) for key in ("survived", "tried"))
        rows.append(("kills, all", *total))
    if found := document.get("evaluations"):
        rows.append(("kills of `hmrl eval`", found["survived"], found["tried"]))
    for how, what in (("fail", "system calls that fail"), ("kill", "kills at a system call")):
        if found := document.get("faults"):
            rows.append((f"{what}, every one", found[how]["survived"], found[how]["tried"]))
    for part, held, what in (
        ("flips", "detected", "bits of a checkpoint that flip"),
        ("configurations", "without_a_bug", "configurations without a bug"),
    ):
        if found := document.get(part):
            rows.append((what, found[held], found["tried"]))
    for preset, times in document.get("term", {}).items():
        for phase in ("compiling", "training", "diagnosing"):
            if some := [one for one in times if one["phase"] == phase]:
                held = sum(one["code"] == 75 and one["checkpointed"] for one in some)
                slowest = max(one["seconds"] for one in some)
                rows.append((f"TERM to `{preset}` {phase}, exit in {slowest:.1f} s", held, len(some)))
    if found := document.get("soak"):
        first, last = found["tenths"][0]["epoch"], found["tenths"][-1]["epoch"]
        for name, unit in (("rss_mib", "MiB"), ("files", "open files"), ("compilations", "compilations")):
            course = ", ".join(f"{tenth[name]:.0f}" for tenth in found["tenths"])
            rows.append((f"soak, epochs {first} to {last}, {unit}", course, ""))
    lines = [rows[0], ("---",) * 3, *rows[1:]]
    head = f"By `{COMMAND}`; reliability.json says what each part ran on.\n\n"
    return head + "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
