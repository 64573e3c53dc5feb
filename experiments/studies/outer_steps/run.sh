#!/bin/sh
# Outer steps of MAML and MAESN at equal episodes, on the wheeled robot: the trust region with ten products of the
# conjugate gradient that remember those of earlier steps, with half as many, without a memory, and ProMP's.
# Three seeds; makes the study's files.  A quarter of an hour on two cores.
#
#   sh experiments/studies/outer_steps/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/outer_steps}

arm() { # ALGORITHM ARM [hmrl's options]
  algorithm=$1 arm=$2
  shift 2
  hmrl meta-train wheeled/explore --num-seeds 3 --seed 20 --run-dir "$out/$algorithm/$arm" --resume \
    --set "algorithm.name=$algorithm" --set training.epochs=50 --set training.action_repeat=5 "$@"
}

for algorithm in maml maesn; do
  arm $algorithm ten_remembering
  arm $algorithm ten_alone --set algorithm.trust_region.cg_memory=0
  arm $algorithm five_remembering --set algorithm.trust_region.cg_iterations=5
  arm $algorithm five_alone --set algorithm.trust_region.cg_iterations=5 --set algorithm.trust_region.cg_memory=0
  arm $algorithm clipped --set 'algorithm.outer="clipped"' --set algorithm.clipped.learning_rate=3e-3 \
    --set algorithm.clipped.target_kl=0.01
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
