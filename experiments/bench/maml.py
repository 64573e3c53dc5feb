"""This project's MAML-TRPO, pytorch-maml-rl and its loop on NumPy, side by side, in one run.

    python experiments/bench/maml.py [-o FILE.json] [--parts PART...] [--ours PRESET] [--no-peer]
                                     [--checkout DIR --checkout-python PYTHON --checkout-workers N...]

Peers run in processes of their own.  "numpy" is `peers/numpy_maml.py`: what the loop of pytorch-maml-rl
computes and how, in few lines; it says there what differs.  "torch-N" is pytorch-maml-rl itself
(`peers/torch_maml.py`) with N processes that sample, from a checkout that you have, with an interpreter that
has PyTorch, gym 0.21 and a NumPy before 2.  All learn 2-D navigation with the settings that pytorch-maml-rl
has for it (`SETTINGS`): 20 tasks of 20 episodes of 100 steps before and after one inner step, a policy of
64 x 64 tanh units, exact second-order derivatives, ten iterations of the conjugate gradient.  HMRL and
"numpy" learn that of `hmrl_cli/families/point.py`, in which an action of 1 moves the point by 0.1; in that of
pytorch-maml-rl an action of 0.1 does, and its policy starts with the same noise of 1.

**speed**: seconds of one meta-iteration and of sampling alone (one phase: the episodes of all tasks before
adaptation), in turn, with compilation apart: HMRL as the peers do it ("hmrl"), with half the products of the
conjugate gradient, preconditioned by those of earlier iterations ("remembering"), and the peers.
"of_ceiling" is the share of the fastest product of square float32 matrices that a meta-iteration reaches: the
FLOP of its matrix products are counted analytically (`iteration_flop`: XLA's own count takes the body of a
loop once), with one candidate of the line search, so that further ones count as time lost.

**physics**: steps per second of `ant_goal/maesn` in training, compiled without a cache, and of its bare
physics under random actions for several numbers of environments, in turn.

**training**: seconds of training from scratch until the return after adaptation, mean over the meta-batch
and over five iterations, reaches `--target`: all of these, and HMRL with a preset of its own (`--ours`,
"best"), each for `--cap` seconds at most.  Compilation is told apart.

The peers' products of matrices use one core by default (`--peer-threads`): they are small, and with two the
cores mostly wait for each other, the more so beside other programs.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import beside
import physics
from beside import products, spread
from maml_sides import SETTINGS, MakePeer, Ours, Side, known_peers, same_settings

from hmrl_cli import config
from hmrl_cli.lazy import jax, np
from hmrl_cli.runner import startup

PARTS = ("speed", "physics", "training")
SMOOTH = 5  # iterations
MEMORY = 20  # products of earlier iterations


def remembering(settings: dict[str, Any]) -> dict[str, Any]:
    """The same with half the products."""
    return settings | {"cg_iterations": settings["cg_iterations"] // 2}


def trpo_sides(settings: dict[str, Any]) -> dict[str, Side]:
    """HMRL as the peer does it, and with fewer products that remember."""
    return {
        "hmrl": Ours("point/maml_trpo", same_settings(settings)),
        "remembering": Ours("point/maml_trpo", same_settings(remembering(settings), MEMORY)),
    }


def iteration_flop(settings: dict[str, Any], observed: int = 2, actions: int = 2) -> float:
    """FLOP of the matrix products of one meta-iteration with one inner step and exact derivatives.

    A Fisher-vector product is (I - a H) J^T F J (I - a H) v for each task: H v costs a tangent forward and
    one backward, both of two products for each of the network's; J is that of the adapted policy.
    """
    rows = settings["tasks"] * settings["episodes"] * settings["horizon"]
    count = functools.partial(products, rows, (observed, *settings["hidden"], actions))
    between = count("wf") - 2 * count("f")  # the products from layer to layer of one pass
    inner_step, backward, tangent = count("fw"), count("w"), count("w")
    inner_hessian = 2 * count("f") + 4 * between
    fisher = 2 * inner_hessian + tangent + backward
    sampling = 2 * count("f") + inner_step
    loss = inner_step + count("f")
    gradient = backward + inner_hessian
    return sampling + loss + gradient + settings["cg_iterations"] * fisher + loss


def start_all(peers: dict[str, MakePeer], settings: dict[str, Any]) -> tuple[dict[str, Side], dict[str, Any]]:
    """Start the peers, and tell the versions that they report."""
    started = {name: make(settings) for name, make in peers.items()}
    return dict(started), {name: peer.versions for name, peer in started.items()}


def measure_speed(settings: dict[str, Any], repeats: int, peers: dict[str, MakePeer]) -> dict[str, Any]:
    """Time all in turn."""
    sides = trpo_sides(settings)
    started, versions = start_all(peers, settings)
    sides |= started
    ceiling = beside.matrix_ceiling()
    for side in sides.values():  # warms up
        side.iterate()
        side.sample()
    rows = []
    for _ in range(repeats):
        row: dict[str, Any] = {"load": os.getloadavg()[0], "ceiling_flop_per_s": ceiling()}
        for name, side in sides.items():
            seconds, did = side.iterate()
            row[name] = {"iteration_s": seconds, "sampling_s": side.sample(), "did": did}
        rows.append(row)
        print(row, file=sys.stderr)
    for side in sides.values():
        side.close()
    names = ("iteration_s", "sampling_s")
    document: dict[str, Any] = {
        "settings": settings,
        "set": same_settings(settings),
        "sides": {
            name: {"compile_s": side.compile_s}
            | {key: spread([row[name][key] for row in rows]) for key in names}
            for name, side in sides.items()
        },
    }
    for name, asked in (("hmrl", settings), ("remembering", remembering(settings))):
        flop = iteration_flop(asked)
        shares = [flop / row[name]["iteration_s"] / row["ceiling_flop_per_s"] for row in rows]
        document["sides"][name] |= {"gflop": 1e-9 * flop, "flop_counted": "analytically"}
        document["sides"][name]["of_ceiling"] = spread(shares)
    document["peers"] = versions
    document["times_as_fast"] = {
        peer: {
            name: {
                key.removesuffix("_s"): spread([row[peer][key] / row[name][key] for row in rows])
                for key in names
            }
            for name in ("hmrl", "remembering")
        }
        for peer in peers
    }
    return document | {"repetitions": rows}


def train_until(side: Side, seed: int, target: float, cap: float) -> dict[str, Any]:
    """Train one seed until the smoothed return after adaptation is reached, or for `cap` seconds."""
    side.start(seed)
    seconds, returns, residuals, smoothed = 0.0, [], [], -np.inf
    while seconds < cap and smoothed < target:
        took, did = side.iterate()
        seconds += took
        returns.append(did["return_after"])
        residuals.append(did.get("cg_residual"))
        if len(returns) >= SMOOTH:
            smoothed = float(np.mean(returns[-SMOOTH:]))
    run = {"seed": seed, "reached": bool(smoothed >= target), "seconds": seconds, "iterations": len(returns)}
    print(f"{type(side).__name__} {run} {smoothed:.1f}", file=sys.stderr)
    return run | {"returns_after": returns, "cg_residuals": residuals}


def measure_training(
    settings: dict[str, Any], preset: str, seeds: int, target: float, cap: float, peers: dict[str, MakePeer]
) -> dict[str, Any]:
    """Seconds of training until the target, every side in turn for each seed."""
    ours = trpo_sides(settings) | {"best": Ours(preset)}
    document: dict[str, Any] = {
        "settings": settings,
        "set": same_settings(settings),
        "preset": preset,
        "best": config.flat(ours["best"].experiment),
        "target": target,
        "cap_s": cap,
    }
    started, document["peers"] = start_all(peers, settings)
    sides = ours | started
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for seed in range(seeds):
        for name, side in sides.items():
            runs[name].append(train_until(side, seed, target, cap))
    for side in sides.values():
        side.close()
    document["sides"] = {
        name: {"compile_s": side.compile_s, "runs": runs[name]} for name, side in sides.items()
    }
    document["times_as_fast"] = {
        peer: {name: beside.quality_ratio(runs[name], runs[peer]) for name in ours} for peer in peers
    }
    return document


def pairs(part: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Peer, side and their ratio, or ratios."""
    for peer, ratios in part["times_as_fast"].items():
        for name, ratio in ratios.items():
            yield peer, name, ratio


def table(document: dict[str, Any]) -> str:
    """One screen of what was found."""
    lines = []
    if speed := document.get("speed"):
        lines.append(f"{'MAML-TRPO, same settings':28} {'s/iteration':>12} {'s/sampling':>12}")
        for name, row in speed["sides"].items():
            seconds = f"{row['iteration_s']['median']:12.3f} {row['sampling_s']['median']:12.4f}"
            share = f", {row['of_ceiling']['median']:.0%} of the ceiling" if "of_ceiling" in row else ""
            lines.append(f"  {name:26} {seconds}  compiled in {row['compile_s']:.0f} s{share}")
        for peer, name, ratios in pairs(speed):
            for what, ratio in ratios.items():
                text = f"{ratio['median']:.2f} times as fast as {peer}"
                text += f" ({ratio['min']:.2f} to {ratio['max']:.2f})"
                lines.append(f"  {name + ', ' + what:26} {text}")
    if found := document.get("physics"):
        lines += physics.lines(found)
    if training := document.get("training"):
        lines.append(f"seconds to a return of {training['target']:g} after adaptation")
        for name, side in training["sides"].items():
            for run in side["runs"]:
                text = f"{run['seconds']:9.1f} s" + ("" if run["reached"] else " and not there")
                lines.append(f"  {name:11} seed {run['seed']:<8} {text}, {run['iterations']} iterations")
        for peer, name, ratio in pairs(training):
            bound = "at least " if ratio["is_lower_bound"] else ""
            text = f"{bound}{ratio['ratio']:.1f} times as fast as {peer}"
            lines.append(f"  {name:26} {text if ratio['ours_reached'] else 'cut off: no ratio'}")
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for, print a table, and write everything where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, help="JSON file to write; parts that are not measured are kept")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--no-peer", action="store_true", help="measure this project alone")
    parser.add_argument("--peer-threads", type=int, default=1, help="of the peers' products of matrices")
    parser.add_argument("--checkout", type=Path, metavar="DIR", help="of pytorch-maml-rl, to measure it too")
    parser.add_argument(
        "--checkout-python", type=Path, metavar="PYTHON", help="an interpreter with its requirements"
    )
    parser.add_argument(
        "--checkout-workers", type=int, nargs="+", default=[1, 2], metavar="N", help="that sample episodes"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed iterations of each side")
    parser.add_argument(
        "--ours", default="point/maml_quick", metavar="PRESET", help="this project's own settings"
    )
    parser.add_argument("--seeds", type=int, default=3, help="of the training")
    parser.add_argument("--target", type=float, default=-15.0, help="return after adaptation")
    parser.add_argument("--cap", type=float, default=900.0, metavar="SECONDS", help="of one training")
    asked = parser.parse_args()
    startup.prepare()
    jax.config.update("jax_enable_compilation_cache", False)
    document = json.loads(asked.o.read_text()) if asked.o and asked.o.exists() else {}
    provenance = beside.provenance(
        "maml.py", {name: beside.version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")}
    )
    checkout = asked.checkout, asked.checkout_python, asked.checkout_workers
    makers = {} if asked.no_peer else known_peers(asked.peer_threads, *checkout)
    jobs: dict[str, Callable[[], dict[str, Any]]] = {
        "speed": lambda: measure_speed(SETTINGS, asked.repeats, makers),
        "physics": lambda: physics.measure(Ours("ant_goal/maesn"), asked.repeats),
        "training": lambda: measure_training(
            SETTINGS, asked.ours, asked.seeds, asked.target, asked.cap, makers
        ),
    }
    for part in asked.parts:
        document[part] = jobs[part]() | {"peer_threads": asked.peer_threads, "provenance": provenance}
        if asked.o:
            asked.o.write_text(json.dumps(document, indent=1) + "\n")
    print(table(document))


if __name__ == "__main__":
    main()
