#!/bin/sh
# Ways to meta-train MAML on 2-D navigation, at equal episodes and outer steps: first order, ProMP, several inner steps.
# Three seeds each; writes the files beside this script.
#
#   sh experiments/results/inner_loops/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/inner_loops}

arm() { # ARM [hmrl's options]
  arm=$1
  shift
  hmrl meta-train point/maml --num-seeds 3 --seed 10 --run-dir "$out/$arm" --resume \
    --set training.epochs=60 --set algorithm.episodes_per_task=10 "$@"
  hmrl eval "$out/$arm" --split test --reward dense --json >"$out/$arm/test.json"
  mkdir -p "$here/$arm"
  for file in config.toml provenance.json metrics.jsonl; do
    cp "$out/$arm/$file" "$here/$arm"
  done
}

one='--set algorithm.inner_steps=1 --set algorithm.learn_step_size=false --set algorithm.outer_loss="last"'
trpo='--set algorithm.outer="trust_region" --set algorithm.inner_surrogate="log_prob"'
arm trpo_1 $one $trpo
arm trpo_1_first_order $one $trpo --set algorithm.first_order=true
arm promp_1 $one
arm promp_3
arm promp_3_last --set 'algorithm.outer_loss="last"'
arm promp_3_first_order --set algorithm.first_order=true
arm promp_3_fixed_sizes --set algorithm.learn_step_size=false
arm trpo_3 $trpo
python "$here/gather.py" "$out" "$here"
