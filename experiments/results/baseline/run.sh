#!/bin/sh
# What a ridge that tells noise from signal changes: MAESN on the wheeled robot and HMRL on the ant, trained as the
# arms of ../maesn and ../tuning were over least squares.  SKILLS is the `ant_goal/diayn_places` library of the latter.
# Writes wheeled and ant_goal beside this script; half an hour on two cores.  What the advantages themselves are worth,
# on any meta-runs: python experiments/results/baseline/baseline.py RUN...
#
#   sh experiments/results/baseline/run.sh SKILLS [FOLDER]
set -eu
here=$(dirname "$0")
skills=$1
out=${2:-runs/baseline}

trained() { # ARM PRESET [hmrl's options]
  arm=$1
  preset=$2
  shift 2
  hmrl meta-train "$preset" --num-seeds 3 --run-dir "$out/$arm" --resume "$@"
  mkdir -p "$here/$arm"
  cp "$out/$arm/config.toml" "$out/$arm/provenance.json" "$out/$arm/metrics.jsonl" "$here/$arm"
}

evaluated() { # NAME [hmrl's options]
  name=$1
  shift
  hmrl eval "$out/$arm" --json --episodes 50 "$@" >"$here/$arm/$name.json"
}

trained wheeled wheeled/maesn
evaluated own --adapt-steps 10
evaluated refit --adapt-steps 10 --set evaluation.rule=refit
trained ant_goal ant_goal/explore --skills "$skills" --set hierarchy.steps_per_skill=5 \
  --set hierarchy.stochastic=false
evaluated own --num-tasks 20 --adapt-steps 10
evaluated tuned --split train --num-tasks 8 --adapt-steps 40 --set evaluation.rule=refit \
  --set evaluation.imitation_steps=200 --set evaluation.fallback=0.3 --set evaluation.late_fallback=0.5 \
  --set evaluation.tune_after=10
