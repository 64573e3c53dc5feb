#!/bin/sh
# RL^2 and PEARL on PEARL's sparse point robot, three seeds: writes the files beside this script.
#
#   sh experiments/results/sparse_point/run.sh [FOLDER]
set -eu
here=$(dirname "$0")
out=${1:-runs/sparse_point-results}
for algorithm in rl2 pearl; do
  hmrl meta-train sparse_point/$algorithm --num-seeds 3 --run-dir "$out/$algorithm" --resume
  for split in test hidden; do
    hmrl eval "$out/$algorithm" --split $split --reward sparse
  done
  mkdir -p "$here/$algorithm"
  cp "$out/$algorithm/config.toml" "$out/$algorithm/provenance.json" "$out/$algorithm/metrics.jsonl" "$here/$algorithm"
  cp -r "$out/$algorithm/eval" "$here/$algorithm"
done
hmrl compare "$out/rl2" "$out/pearl" --json >"$here/compare.json"
