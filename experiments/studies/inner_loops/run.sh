#!/bin/sh
# Ways to meta-train MAML on 2-D navigation, at equal episodes and outer steps: first order, ProMP, several inner steps,
# steps in proportion to the mean reward.  Three seeds each; makes the study's files.  Arms that are trained for one
# step of a fixed size are also evaluated as MAML's authors do it: from the second update on, half of it.
#
#   sh experiments/studies/inner_loops/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/inner_loops}

arm() { # ARM [hmrl's options]
  arm=$1
  shift
  hmrl meta-train point/maml --num-seeds 3 --seed 10 --run-dir "$out/$arm" --resume \
    --set training.epochs=60 --set algorithm.episodes_per_task=10 "$@"
  hmrl eval "$out/$arm" --split test --reward dense --json >"$out/$arm/test.json"
}

halved() {
  hmrl eval "$out/$arm" --split test --reward dense --json --set evaluation.step_decay=0.5 \
    --set evaluation.step_floor=0.5 >"$out/$arm/halved.json"
}

plain='--set algorithm.scale_by_reward=false --set algorithm.inner_lr=0.1'
once='--set algorithm.inner_steps=1 --set algorithm.learn_step_size=false --set algorithm.outer_loss="last"'
trpo='--set algorithm.outer="trust_region" --set algorithm.inner_surrogate="log_prob"'
arm trpo_1 $plain $once $trpo
halved
arm trpo_1_first_order $plain $once $trpo --set algorithm.first_order=true
halved
arm trpo_1_scaled $once $trpo
arm promp_1 $plain $once
halved
arm promp_1_scaled $once
arm trpo_3 $plain $trpo
arm trpo_3_scaled $trpo
arm promp_3 $plain
arm promp_3_last $plain --set 'algorithm.outer_loss="last"'
arm promp_3_first_order $plain --set algorithm.first_order=true
arm promp_3_fixed_sizes $plain --set algorithm.learn_step_size=false
arm promp_3_scaled
arm promp_3_scaled_first_order --set algorithm.first_order=true
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
