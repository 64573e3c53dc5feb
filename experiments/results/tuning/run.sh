#!/bin/sh
# What adaptation comes to in 2,000 episodes of a task, where the policy is tuned to it after it has explored: refit,
# imitation and a fallback for the first ten updates, clipped policy-gradient steps for the thirty after them.  Flat
# MAESN, a controller from scratch over skills, and HMRL, all of which decide every five steps, are meta-trained dense
# (the controller from scratch: not at all) and adapt to sparse goals, of the training distribution (test) and outside
# of it (hidden).  Writes FAMILY/ARM beside this script.  There are as many seeds as the library SKILLS has.  On two
# cores the wheeled robot takes half an hour with three seeds; the ant, which has not been run, would take hours.
#
#   sh experiments/results/tuning/run.sh FAMILY SKILLS [FOLDER]     # FAMILY: wheeled or ant_goal
set -eu
here=$(dirname "$0")
family=$1
skills=$2
seeds=$(sed -n 's/^num_seeds = //p' "$skills/config.toml")
out=${3:-runs/tuning}/$family
k=5

arm() { # ARM [hmrl's options]
  run=$out/$1
  kept=$here/$family/$1
  shift
  hmrl meta-train "$family/explore" --num-seeds "$seeds" --run-dir "$run" --resume "$@"
  mkdir -p "$kept"
  cp "$run/config.toml" "$run/provenance.json" "$run/metrics.jsonl" "$kept"
  for split in hidden test; do
    hmrl eval "$run" --json --split $split --adapt-steps 40 --episodes 50 --set evaluation.rule=refit \
      --set evaluation.imitation_steps=200 --set evaluation.fallback=0.3 --set evaluation.late_fallback=0.5 \
      --set evaluation.tune_after=10 >"$run/$split.json"
    cp "$run/$split.json" "$kept"
  done
}

arm hmrl --skills "$skills" --set hierarchy.steps_per_skill=$k
arm maesn_repeat --set training.action_repeat=$k
# a controller that has learned nothing: one update that may not move it
arm skills_only --skills "$skills" --set hierarchy.steps_per_skill=$k --set training.epochs=1 \
  --set training.updates_per_epoch=1 --set 'algorithm.outer="trust_region"' \
  --set algorithm.trust_region.max_divergence=1e-12
hmrl report "$out/hmrl" "$out/maesn_repeat" "$out/skills_only" -o "$here/$family/curves.svg"
python "$here/gather.py" "$here"
