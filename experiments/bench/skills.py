"""This project's DIAYN and QDax's, side by side, in one run.

    python experiments/bench/skills.py [-o FILE.json] [--parts speed physics quality standard] [--no-peer]

**speed**: DIAYN with soft actor-critic at the same settings, on the ant with `spring`: environments,
steps, gradient steps, batch, layers, replay, discount, the automatic temperature, a discriminator on xy,
ten physics steps of 5 ms.  The two take turns; compilation is timed apart.  "alone" is the gradient step
without the rest: the time of a call less that of one which only plays, over the gradient steps.  What
differs, because each is its own self: HMRL plays whole episodes, then learns; QDax learns after every
step.  HMRL stores 68 numbers of a transition (29 observed, in one array for each field), QDax 89 (27
observed and the skill, in one array). QDax asks the discriminator for the reward before its gradient step
and at s', trains it at s, and runs the policy once more for the temperature; HMRL takes the reward from
the discriminator's own forward pass, at s', and the temperature's gradient from the policy's: 754 against
829 MFLOP of matrix products at the defaults, which is counted in "of_ceiling", the share of the fastest
product of square float32 matrices.

**physics**: steps per second of `ant_goal/diayn_ppo` in training, and of its bare physics under random
actions for several numbers of environments, in turn.

**quality**: seconds of training until the skills end 2 m away from their start after 100 steps (mean over
skills and 8 sampled episodes each, measured after every few seconds, outside of the timed part), HMRL with
the preset `ant_goal/diayn_ppo`, QDax as in its example but with 8 skills.  Physics steps are each one's
default. "directed" is the same of a skill's mean end, which wandering about does not bring up.

**standard**: the whole of the preset `ant_goal/diayn_ppo`, several seeds one after the other: seconds of
training until the skills are good (`GOOD`, all of it at once, looked at every ten epochs), and how good
they are in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import beside
import physics
from beside import matrix_ceiling, products, quality_ratio, spread, version
from skill_sides import EXAMPLE, QDAX, SHARED, Ours, Peer, Side, same_settings

from hmrl_cli import config
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.runner import startup

OURS = "ant_goal/diayn_ppo"  # this project's best
GOOD = {"accuracy": 0.9, "mutual_information": 1.8, "displacement": 5.0}  # the last: mean over skills, m
LOOK_EVERY = 10  # epochs
CHUNK = 20  # iterations of QDax between two looks at its skills


def update_flop(settings: dict[str, Any], observed: int, actions: int, peer: bool) -> float:
    """FLOP of the matrix products of one gradient step of DIAYN, here or in QDax."""
    batch, hidden, skills = settings["batch_size"], settings["hidden"], settings["num_skills"]
    policy = (observed + skills, *hidden, 2 * actions)
    critic = (observed + skills + actions, *hidden, 1)
    discriminator = (2, *hidden, skills)
    return (
        products(batch, discriminator, "ffw" if peer else "fw")
        + products(batch, policy, "fffw" if peer else "ffw")
        + 2 * (products(batch, critic, "ffw") + products(batch, critic, "fx"))
    )


def measure_speed(
    settings: dict[str, Any], steps: int, repeats: int, peer: bool, preset: str = "ant_goal/diayn"
) -> dict[str, Any]:
    """Time both in turn, `steps` steps of every environment in each call."""
    sets = same_settings(settings, steps, preset)
    play = [f"algorithm.gradient_steps={1}"]
    sides: dict[str, Side] = {"hmrl": Ours(preset, sets), "hmrl_play": Ours(preset, sets + play)}
    if peer:
        sides["qdax"] = Peer(settings, steps)
        sides["qdax_play"] = Peer(settings | {"updates_per_step": 0.0}, steps)
    ceiling = matrix_ceiling()
    rows = []
    for _ in range(repeats + 1):
        row = {name: side.train() for name, side in sides.items()}
        rows.append({"load": os.getloadavg()[0], "ceiling_flop_per_s": ceiling(), "seconds": row})
    rows = rows[1:]  # the first one warms up
    family = sides["hmrl"].parts.family
    actions = family.action.size
    seen = {"hmrl": family.features["body"](jnp.zeros(family.obs_size)).size, "qdax": family.obs_size - 2}
    for side in sides.values():
        side.close()
    found = {
        name: speed_of(name, sides[name], sides[f"{name}_play"], rows)
        | {"mflop": 1e-6 * update_flop(settings, seen[name], actions, name == "qdax")}
        for name in ("hmrl", "qdax")
        if name in sides
    }
    for row in found.values():
        shares = [
            1e6 * row["mflop"] / (1e-3 * ms) / repetition["ceiling_flop_per_s"]
            for ms, repetition in zip(row["per_repetition_ms_alone"], rows, strict=True)
        ]
        row["of_ceiling"] = spread(shares)
    document: dict[str, Any] = {"settings": settings | {"steps": steps}, "set": sets, "sides": found}
    if peer:
        whole = [row["seconds"]["qdax"] / row["seconds"]["hmrl"] for row in rows]
        both = (found[name]["per_repetition_ms_alone"] for name in ("qdax", "hmrl"))
        alone = [theirs / ours for theirs, ours in zip(*both, strict=True)]
        document["times_as_fast"] = {"whole": spread(whole), "update_alone": spread(alone)}
    return document | {"repetitions": rows}


def speed_of(name: str, side: Side, play: Side, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the repetitions say of one side."""
    seconds = [row["seconds"][name] for row in rows]
    alone = [
        1e3 * (row["seconds"][name] - row["seconds"][f"{name}_play"]) / (side.updates - play.updates)
        for row in rows
    ]
    return {
        "compile_s": side.compile_s,
        "steps": side.steps,
        "updates": side.updates,
        "steps_per_s": spread([side.steps / s for s in seconds]),
        "updates_per_s": spread([side.updates / s for s in seconds]),
        "ms_per_update": spread([1e3 * s / side.updates for s in seconds]),
        "ms_per_update_alone": spread(alone),
        "per_repetition_ms_alone": alone,
    }


def displaced(ends: Any) -> dict[str, float]:
    """How far the skills lead [num_skills, N, 2]: each episode's end, and each skill's mean end."""
    return {
        "displacement": float(np.linalg.norm(ends, axis=-1).mean()),
        "directed": float(np.linalg.norm(ends.mean(axis=1), axis=-1).mean()),
    }


def train_until(side: Side, seed: int, target: float, cap: float) -> dict[str, Any]:
    """Train one seed until the displacement is reached, or for `cap` seconds; only training is timed."""
    side.start(seed)
    seconds, reports = 0.0, []
    while seconds < cap and not (reports and reports[-1]["displacement"] >= target):
        seconds += side.train()
        steps = (len(reports) + 1) * side.steps
        reports.append({"seconds": seconds, "steps": steps, **displaced(side.ends())})
        print(f"{type(side).__name__} seed {seed} {reports[-1]}", file=sys.stderr)
    reached = reports[-1]["displacement"] >= target
    return {"seed": seed, "reached": reached, "seconds": seconds, "reports": reports}


def measure_quality(
    settings: dict[str, Any], seeds: int, target: float, cap: float | None, peer: bool, preset: str = OURS
) -> dict[str, Any]:
    """Seconds of training until the skills lead `target` metres away."""
    side = Ours(preset)
    limit = side.experiment.training.epochs  # of the preset
    document: dict[str, Any] = {"preset": config.flat(side.experiment), "target_m": target}
    pace = 0.0
    runs = []
    for seed in range(seeds):
        pace = pace or side.train()
        runs.append(train_until(side, seed, target, limit * pace))
    side.close()
    document["hmrl"] = {"compile_s": side.compile_s, "runs": runs}
    if not peer:
        return document
    slowest = max(run["seconds"] for run in runs)
    cap = cap or max(600.0, 20 * slowest)
    theirs = Peer(settings, CHUNK)
    runs = [train_until(theirs, seed, target, cap) for seed in range(seeds)]
    theirs.close()
    document |= {"settings": settings, "cap_s": cap}
    document["qdax"] = {"compile_s": theirs.compile_s, "runs": runs}
    return document | {"times_as_fast": quality_ratio(document["hmrl"]["runs"], runs)}


def is_good(found: dict[str, Any]) -> bool:
    """Whether skills are as good as `GOOD` and go as many ways as there are skills."""
    means = {name: float(np.mean(found[name])) for name in GOOD}
    return all(means[name] >= GOOD[name] for name in GOOD) and found["apart_deg"] >= 20.0


def least_angle(directions: Sequence[float]) -> float:
    """The least angle between two of the directions (rad), degrees."""
    ordered = np.sort(np.asarray(directions))
    return float(np.degrees(np.append(np.diff(ordered), ordered[0] + 2 * np.pi - ordered[-1]).min()))


def measure_standard(seeds: int, preset: str = OURS) -> dict[str, Any]:
    """Train the whole preset, one seed after the other."""
    side = Ours(preset)
    runs = []
    for seed in range(seeds):
        side.start(seed)
        seconds, looks = 0.0, []
        for epoch in range(side.experiment.training.epochs):
            seconds += side.train()
            if (epoch + 1) % LOOK_EVERY == 0:
                found = side.look()
                found["apart_deg"] = least_angle(found["direction"])
                looks.append({"seconds": seconds, "steps": (epoch + 1) * side.steps, **found})
        good = next((look["seconds"] for look in looks if is_good(look)), None)
        runs.append(
            {"seed": seed, "good_after_s": good, "good_in_the_end": is_good(looks[-1]), "looks": looks}
        )
        print(f"seed {seed}: {good} s, {looks[-1]}", file=sys.stderr)
    side.close()
    return {"preset": config.flat(side.experiment), "good": GOOD, "compile_s": side.compile_s, "runs": runs}


def standard_lines(standard: dict[str, Any]) -> list[str]:
    """The part of the table about the whole preset."""
    lines = [
        f"{'the whole of ' + OURS:34} {'accuracy':>8} {'I, nats':>8} {'m':>5} {'apart':>6} {'steps/s':>8}"
    ]
    for run in standard["runs"]:
        last, good = run["looks"][-1], run["good_after_s"]
        after = "never good" if good is None else f"good after {good:.0f} s of {last['seconds']:.0f}"
        quality = (
            f"{last['accuracy']:8.3f} {last['mutual_information']:8.3f} {np.mean(last['displacement']):5.1f}"
        )
        speed = last["steps"] / last["seconds"]
        lines.append(f"  seed {run['seed']} {after:25} {quality} {last['apart_deg']:5.0f}° {speed:8.0f}")
    return lines


def table(document: dict[str, Any]) -> str:
    """One screen of what was found."""
    lines = []
    if speed := document.get("speed"):
        head = "DIAYN on SAC, same settings"
        lines.append(
            f"{head:28} {'steps/s':>9} {'updates/s':>9} {'ms/update':>9} {'alone':>7} {'ceiling':>8}"
        )
        for name, row in speed["sides"].items():
            values = [row[key]["median"] for key in ("steps_per_s", "updates_per_s", "ms_per_update")]
            alone, share = row["ms_per_update_alone"]["median"], row["of_ceiling"]["median"]
            numbers = f"{values[0]:9.0f} {values[1]:9.1f} {values[2]:9.2f} {alone:7.2f} {share:8.0%}"
            lines.append(f"  {name:26} {numbers}  compiled in {row['compile_s']:.0f} s")
        for name, ratio in speed.get("times_as_fast", {}).items():
            text = f"{ratio['median']:.2f} times as fast ({ratio['min']:.2f} to {ratio['max']:.2f})"
            lines.append(f"  {name:26} {text}")
    if found := document.get("physics"):
        lines += physics.lines(found)
    if quality := document.get("quality"):
        lines.append(f"seconds to {quality['target_m']:g} m")
        for name in ("hmrl", "qdax"):
            for run in quality.get(name, {}).get("runs", ()):
                last = run["reports"][-1]
                text = f"{run['seconds']:9.1f} s" + ("" if run["reached"] else " and not there")
                where = f"{last['displacement']:.2f} m, directed {last['directed']:.2f} m"
                lines.append(f"  {name:6} seed {run['seed']:<13} {text}  {where}, {last['steps']:,} steps")
        if ratio := quality.get("times_as_fast"):
            bound = "at least " if ratio["is_lower_bound"] else ""
            lines.append(f"  {bound}{ratio['ratio']:.1f} times as fast")
    if standard := document.get("standard"):
        lines += standard_lines(standard)
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for, print a table, and write everything where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, help="JSON file to write; parts that are not measured are kept")
    parser.add_argument("--parts", nargs="+", default=["speed", "physics", "quality", "standard"])
    parser.add_argument("--no-peer", action="store_true", help="measure this project alone")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of each side")
    parser.add_argument("--steps", type=int, default=100, help="steps of each environment in a call")
    parser.add_argument("--capacity", type=int, default=EXAMPLE["capacity"], help="of both replays")
    parser.add_argument("--seeds", type=int, default=3, help="of the time to quality")
    parser.add_argument("--standard-seeds", type=int, default=5, help="of the whole preset")
    parser.add_argument("--target", type=float, default=2.0, help="displacement of the skills, m")
    parser.add_argument("--cap", type=float, help="s of QDax; by default 20 times ours, 600 at least")
    asked = parser.parse_args()
    startup.prepare()
    jax.config.update("jax_enable_compilation_cache", False)
    settings = EXAMPLE | {"capacity": asked.capacity}
    document = json.loads(asked.o.read_text()) if asked.o and asked.o.exists() else {}
    versions = {name: version(name) for name in SHARED} | {"qdax": QDAX}
    provenance = beside.provenance("skills.py", versions)
    peer = not asked.no_peer
    jobs: dict[str, Callable[[], dict[str, Any]]] = {
        "speed": lambda: measure_speed(settings, asked.steps, asked.repeats, peer),
        "physics": lambda: physics.measure(Ours(OURS), asked.repeats),
        "quality": lambda: measure_quality(settings, asked.seeds, asked.target, asked.cap, peer),
        "standard": lambda: measure_standard(asked.standard_seeds),
    }
    for part in asked.parts:
        document[part] = jobs[part]() | {"provenance": provenance}
        if asked.o:
            asked.o.write_text(json.dumps(document, indent=1) + "\n")
    print(table(document))


if __name__ == "__main__":
    main()
