#!/bin/sh
# RL^2 and PEARL on PEARL's sparse point robot, three seeds: makes the study's files.
#
#   sh experiments/studies/rl2_and_pearl/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/rl2_and_pearl}
for algorithm in rl2 pearl; do
  hmrl meta-train sparse_point/$algorithm --num-seeds 3 --run-dir "$out/$algorithm" --resume
  for split in test hidden; do
    hmrl eval "$out/$algorithm" --split $split --reward sparse
  done
done
PYTHONPATH="$here/.." python "$here/gather.py" "$out"
