#!/bin/sh
# What might make MAESN learn the pusher faster, tried on one seed: other outer steps, normalised observations, fewer
# and more training tasks.  Each adapts by its own update and by a refit of the latent, and the longest also with
# imitation.  Makes the study's files.  On two cores some seven minutes an arm.
#
#   sh experiments/studies/pusher/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/pusher}

measured() { # ARM NAME [hmrl's options]: once
  file=$out/$1/$2.json
  run=$out/$1
  shift 2
  [ -s "$file" ] || hmrl eval "$run" --adapt-steps 10 --episodes 50 --json "$@" >"$file"
}

arm() { # ARM EPOCHS [hmrl's options]
  arm=$1
  epochs=$2
  shift 2
  hmrl meta-train pusher/maesn --run-dir "$out/$arm" --resume --set training.epochs="$epochs" \
    --set training.checkpoint_every=1000 --set algorithm.episodes_per_task=10 "$@"
  measured "$arm" own
  measured "$arm" refit --set evaluation.rule=refit
}

loose='--set algorithm.kl_weight=0.01'
far='--set algorithm.trust_region.max_divergence=0.03'
clipped='--set algorithm.outer="clipped"'
normal='--set algorithm.normalize_observations=true'
many='--set algorithm.clipped.epochs=15'
arm trust_region 120 $loose
arm trust_region_003 120 $loose $far
arm trust_region_01 120 $loose --set algorithm.trust_region.max_divergence=0.1
arm clipped 120 $loose $clipped
arm clipped_normal 120 $loose $clipped $normal
arm clipped_normal_15 120 $loose $clipped $normal $many
arm clipped_normal_15_fast 120 $loose $clipped $normal $many --set algorithm.clipped.learning_rate=0.003
arm clipped_normal_20_tasks 120 $loose $clipped $normal --set algorithm.num_train_tasks=20
arm clipped_normal_15_new_tasks 120 $clipped $normal $many --set algorithm.num_train_tasks=100000
arm trust_region_003_long 400 $loose $far
measured trust_region_003_long imitation --set evaluation.rule=refit --set evaluation.imitation_steps=200
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
